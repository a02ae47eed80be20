import { spawnSync } from 'node:child_process';
import { hasTools, importTool } from './tools.js';

/** What is used here of `testcontainers`, which is one of the packages of tools/. */
export interface Container {
  getMappedPort(port: number): number;
  stop(options?: { timeout: number }): Promise<unknown>;
}

interface ContainerBuilder {
  withExposedPorts(...ports: (number | { container: number; host: number })[]): this;
  withEnvironment(environment: Record<string, string>): this;
  start(): Promise<Container>;
}

/** Whether real servers can run in containers: a Docker engine runs, and the packages of tools/ are installed. */
export const hasContainers = (): boolean => hasTools && spawnSync('docker', ['info'], { stdio: 'ignore' }).status === 0;

/** A container of `image`, not started yet. It is removed when the run ends, even when the run is cut. */
export async function containerOf(image: string): Promise<ContainerBuilder> {
  const { GenericContainer } = await importTool<{ GenericContainer: new (image: string) => ContainerBuilder }>(
    'testcontainers/build/index.js',
  );
  return new GenericContainer(image);
}
