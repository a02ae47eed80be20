import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from '@jest/globals';
import { containerOf, hasContainers, type Container } from './containers.js';
import { expectStop, stopped } from './leftovers.js';

/** Set by CI: a real server that is missing is then a failure. */
export const REQUIRED = process.env.REQUIRE_REAL_SERVERS === '1';

/** Debian keeps servers where ordinary users do not look. */
const WITH_SBIN = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

export function hasProgram(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`], { env: { ...process.env, PATH: WITH_SBIN } }).status === 0;
}

/** Runs a program to its end; throws with what it printed when it fails. */
export function runProgram(name: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr } = spawnSync(name, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${status ?? 'a signal'}: ${stdout}${stderr}`);
  return stdout;
}

/** `describe` for tests that need `programs`: skipped, and said so, where they are missing, but failed where CI asks for them. */
export function describeWith(programs: readonly string[], name: string, tests: () => void, orDocker = false): void {
  const missing = programs.filter((program) => !hasProgram(program));
  if (missing.length === 0 || (orDocker && hasContainers())) describe(name, tests);
  else if (REQUIRED) {
    describe(name, () => {
      it('has the programs that it needs', () => {
        throw new Error(`missing: ${missing.join(', ')} (REQUIRE_REAL_SERVERS=1)`);
      });
    });
  } else describe.skip(`${name} (skipped: no ${missing.join(', ')} here)`, tests);
}

/** `it` for a test that needs `programs`, by the same rule. */
export function itWith(programs: readonly string[], name: string, test: () => Promise<void> | void): void {
  const missing = programs.filter((program) => !hasProgram(program));
  if (missing.length === 0) it(name, test);
  else if (REQUIRED) {
    it(name, () => {
      throw new Error(`missing: ${missing.join(', ')} (REQUIRE_REAL_SERVERS=1)`);
    });
  } else it.skip(`${name} (skipped: no ${missing.join(', ')} here)`, test);
}

/** A CNCF Distribution registry: in a container where Docker is, else the program from the system's packages. */
export class DistributionServer {
  private folder = '';
  private process: ChildProcess | undefined;
  private container: Container | undefined;
  url = '';

  /** @param webhook where it tells of pushes, with the secret that it shows */
  async start(webhook?: { url: string; secret: string }): Promise<this> {
    expectStop(this, () => this.stop());
    if (hasContainers() && !webhook) {
      this.container = await (await containerOf('registry:2')).withExposedPorts(5000).start();
      this.url = `http://127.0.0.1:${this.container.getMappedPort(5000)}`;
      return this;
    }
    this.folder = mkdtempSync(join(tmpdir(), 'otaflux-registry-'));
    const port = await freePort();
    writeFileSync(
      join(this.folder, 'config.yml'),
      `version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ${this.folder}/data\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:${port}\n${webhook ? notifications(webhook) : ''}`,
    );
    this.url = `http://127.0.0.1:${port}`;
    await this.launch();
    return this;
  }

  /** Kills the registry without warning. */
  async kill(): Promise<void> {
    const { process: child } = this;
    if (!child) return;
    this.process = undefined;
    await new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill('SIGKILL');
    });
  }

  /** Starts it on its old port and data, and waits until it answers. */
  async launch(): Promise<void> {
    this.process = spawn('docker-registry', ['serve', join(this.folder, 'config.yml')], { stdio: 'ignore' });
    for (let tries = 0; tries < 200; tries++) {
      const up = await fetch(`${this.url}/v2/`).then(
        (response) => response.ok,
        () => false,
      );
      if (up) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error('docker-registry did not start');
  }

  async stop(): Promise<void> {
    stopped(this);
    await this.container?.stop();
    await this.kill();
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }
}

/** As docs/webhooks.md has it. */
function notifications({ url, secret }: { url: string; secret: string }): string {
  return `notifications:
  endpoints:
    - name: otaflux
      url: ${url}
      headers:
        Authorization: ["Bearer ${secret}"]
      timeout: 3s
      threshold: 5
      backoff: 1s
`;
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}

/** A mosquitto broker from the system's packages, on one port and with one data folder for as long as it is used. */
export class Mosquitto {
  port = 0;
  private readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-mosquitto-'));
  private process: ChildProcess | undefined;

  /** @param lines of its configuration beside port and persistence */
  async start(lines: readonly string[] = ['allow_anonymous true']): Promise<this> {
    expectStop(this, () => this.stop());
    this.port ||= await freePort();
    const path = join(this.folder, 'mosquitto.conf');
    const persistence = [
      'persistence true',
      `persistence_location ${this.folder}/`,
      'autosave_interval 1',
      'user root',
    ];
    writeFileSync(path, [`listener ${this.port} 127.0.0.1`, ...persistence, ...lines, ''].join('\n'));
    this.process = spawn('mosquitto', ['-c', path], { stdio: 'ignore', env: { ...process.env, PATH: WITH_SBIN } });
    while (!(await accepts(this.port))) await new Promise((resolve) => setTimeout(resolve, 25));
    return this;
  }

  /** A file in its folder, for passwords and certificates. */
  file(name: string, content?: string | Buffer): string {
    const path = join(this.folder, name);
    if (content !== undefined) writeFileSync(path, content);
    return path;
  }

  /** Killed without warning, what it had not saved is lost; it saves at SIGTERM. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { process: child } = this;
    this.process = undefined;
    if (!child) return;
    await new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill(signal);
    });
  }

  async stop(): Promise<void> {
    stopped(this);
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
