import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FakeRegistry } from './fake-registry.js';
import { FlakyPath, type Fault } from './flaky-path.js';
import { imageOf, versionIn, type Run, type SampleDevice } from './sample-clients.js';
import { TestService, type TestOptions } from './service.js';

/** Firmware that is larger and smaller by turns. */
export const IMAGES = {
  '1.0.0': imageOf('1.0.0', 90_000),
  '1.1.0': imageOf('1.1.0', 200_000),
  '1.2.0': imageOf('1.2.0', 120_000),
  '2.0.0+build.5': imageOf('2.0.0+build.5', 310_000),
};
export type Version = keyof typeof IMAGES;
export const FIRST = IMAGES['1.0.0'];

/** The shell client as docs/devices.md prints it. */
export const PRINTED =
  /```sh\n(#!\/bin\/sh\n[\s\S]*?)```/.exec(
    readFileSync(fileURLToPath(new URL('../../docs/devices.md', import.meta.url)), 'utf8'),
  )?.[1] ?? '';

/** A registry, the server, a flaky way to it, and a device that runs a sample client at its end. */
export class SampleBench {
  readonly registry = new FakeRegistry();
  readonly path = new FlakyPath();
  /** For programs and files of a test. */
  readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-samples-'));
  service: TestService | undefined;
  private device: SampleDevice | undefined;

  async open(): Promise<void> {
    await this.registry.start();
    await this.path.start(() => this.service?.port ?? 0);
  }

  async close(): Promise<void> {
    await this.path.stop();
    await this.registry.stop();
    rmSync(this.folder, { recursive: true });
  }

  /** Puts a device on the bench, and starts the server. */
  async begin(device: SampleDevice, options: TestOptions = {}): Promise<void> {
    this.device = device;
    this.registry.remove('esp32');
    this.path.fault = () => undefined;
    this.path.passed.length = 0;
    await this.serve(options);
  }

  /** Starts the server, again when it was stopped. It asks the registry for every request. */
  async serve(options: TestOptions = {}): Promise<void> {
    this.service = await TestService.start({
      REGISTRY_URL: this.registry.url,
      REFRESH_INTERVAL: '0',
      ...options,
    });
  }

  async end(): Promise<void> {
    this.device?.remove();
    await this.service?.stop();
  }

  push(version: Version, image = IMAGES[version]): void {
    this.registry.push('esp32', version.replace('+', '_'), image);
  }

  /** Lets the device check for updates until it rests. */
  async run(token?: string): Promise<Run> {
    if (!this.device) throw new Error('no device');
    return this.device.run({ server: this.path.url, ...(token !== undefined && { token }) });
  }

  /** The firmware that runs. */
  get image(): Buffer {
    return this.device?.image() ?? Buffer.alloc(0);
  }

  /** The version of the firmware that runs, or what is wrong with it. */
  get running(): string {
    const version = versionIn(this.image);
    const expected = IMAGES[version as Version] as Buffer | undefined;
    return expected && !this.image.equals(expected) ? `${version}, with other bytes` : version;
  }

  /** Faults by the number of the request for firmware, from 1; all further ones pass. */
  faults(...faults: (Fault | undefined)[]): void {
    this.path.fault = ({ url }) => (url.startsWith('/firmware') ? faults[this.path.downloads.length - 1] : undefined);
  }

  /** The same fault for every request whose path begins with `path`. */
  always(path: '/version' | '/firmware', fault: Fault): void {
    this.path.fault = ({ url }) => (url.startsWith(path) ? fault : undefined);
  }
}
