import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Cli } from '../support/cli.js';
import { fixture } from '../support/fixture.js';

const TRACE = fileURLToPath(new URL('../support/loading-trace.mjs', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const LAYOUTS = `oci:${fixture('layouts')}`;
const FREE = ['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'];

const folder = mkdtempSync(join(tmpdir(), 'otaflux-start-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Trace {
  /** Paths below the root of the repository, such as `dist/main.js`. */
  readonly modules: string[];
  readonly cpuMs: number;
  readonly maxRssKiB: number;
}

let runs = 0;
const traceEnv = (withModules: boolean): Record<string, string> => ({
  NODE_OPTIONS: `--import ${pathToFileURL(TRACE).href}`,
  LOADING_TRACE: join(folder, `trace-${++runs}`),
  ...(withModules && { LOADING_TRACE_MODULES: '1' }),
});

function traceIn({ LOADING_TRACE = '' }: Record<string, string>): Trace {
  const lines = readFileSync(LOADING_TRACE, 'utf8').trim().split('\n');
  const root = pathToFileURL(fileURLToPath(new URL('../..', import.meta.url))).href;
  const usage = JSON.parse(lines.find((line) => line.startsWith('{')) ?? '{}') as Pick<Trace, 'cpuMs' | 'maxRssKiB'>;
  return { ...usage, modules: lines.filter((line) => line.startsWith(root)).map((url) => url.slice(root.length)) };
}

/** Runs node with `args` to its end, whatever it exits with. */
function trace(args: readonly string[], { withModules = false, cwd = folder } = {}): Trace {
  const env = traceEnv(withModules);
  const { PATH = '', HOME = '' } = process.env;
  spawnSync(process.execPath, args, { cwd, env: { PATH, HOME, DEVICE_URL_SECRET: 'a secret of 16 bytes', ...env } });
  return traceIn(env);
}

/** What a command costs at best: the least of some runs, because others use the machine, too. */
function leastOf(args: readonly string[]): Trace {
  return Array.from({ length: 5 }, () => trace(args)).reduce((a, b) => (b.cpuMs < a.cpuMs ? b : a));
}

/** Commands that serve nothing, and answer at once. */
const LIGHT: readonly (readonly string[])[] = [
  ['--version'],
  ['--help'],
  ['help'],
  ['serve', '--help'],
  ['pusch'],
  [],
  ['health', '--metrics-listen-addr', '127.0.0.1:1'],
  ['status', '--metrics-listen-addr', '127.0.0.1:1'],
  ['notify', 'esp32', '--metrics-listen-addr', '127.0.0.1:1'],
  ['token', 'esp32'],
  ['completion', 'bash'],
  ['init', '--registry-url', LAYOUTS, '--output', '/dev/full', '--force'],
  ['sign-url', 'esp32'],
];

/** Commands that ask a registry. */
const MIDDLE: readonly (readonly string[])[] = [
  ['list', 'esp32', '--registry-url', LAYOUTS],
  ['delete', 'esp32', '9.9.9', '--yes', '--registry-url', LAYOUTS],
  ['verify', 'esp32', '--registry-url', LAYOUTS],
  ['verify', 'signed-bundle', '--registry-url', LAYOUTS, '--cosign-pub-key-path', fixture('keys/cosign.pub')],
  ['verify', 'esp32', '--registry-url', 'http://127.0.0.1:1'],
  ['push', 'esp32', '1.0.0', MAIN, '--registry-url', `oci:${join(folder, 'registry')}`],
];

const named = (commands: readonly (readonly string[])[]): [string, readonly string[]][] =>
  commands.map((args) => [args.slice(0, 2).join(' '), args]);

describe('a command that serves nothing', () => {
  it.each(named([...LIGHT, ...MIDDLE]))('loads nothing of the service: otaflux %s', (_name, args) => {
    const { modules } = trace([MAIN, ...args], { withModules: true });
    expect(modules).toContain('dist/main.js');
    expect(
      modules.filter((path) =>
        /node_modules\/(@nestjs|reflect-metadata|express|pino|prom-client)\/|bundle\/service\.js$/.test(path),
      ),
    ).toEqual([]);
  });

  it.each(named(LIGHT))('loads no library but the one that reads its arguments: otaflux %s', (_name, args) => {
    const { modules } = trace([MAIN, ...args], { withModules: true });
    expect(modules.filter((path) => /node_modules\/(?!commander\/)/.test(path))).toEqual([]);
  });

  describe('beside Node itself', () => {
    let bare: Trace;
    beforeAll(() => {
      bare = leastOf(['-e', '0']);
    });

    it.each(named(LIGHT))('costs little: otaflux %s', (_name, args) => {
      const own = leastOf([MAIN, ...args]);
      // 1.6 times on Node 20, 2.2 times on Node 26; with the service it is more than 8 times.
      expect(own.cpuMs).toBeLessThan(bare.cpuMs * 4);
      expect(own.maxRssKiB).toBeLessThan(bare.maxRssKiB + 20 * 1024);
    });
  });
});

describe('otaflux serve', () => {
  async function start(args: readonly string[]): Promise<Trace> {
    const env = traceEnv(true);
    const server = new Cli(['--registry-url', LAYOUTS, '--log-level', 'debug', ...FREE, ...args], env);
    expect((await fetch(`http://127.0.0.1:${await server.port()}/version?device=esp32`)).status).toBe(200);
    server.kill();
    expect((await server.finished).code).toBe(0);
    return traceIn(env);
  }

  it('loads what every start needs from few files, and no library that it has no use for', async () => {
    const { modules } = await start([]);
    expect(modules).toContain('dist/bundle/serve.js');
    expect(modules.length).toBeLessThan(30);
    expect(modules).not.toContain('dist/bundle/microservices.js');
    const packages = modules.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
    expect([...new Set(packages)].sort()).toEqual(['commander', 'reflect-metadata']);
  });

  it('loads the microservices of Nest for EVENTS only, from the bundle, and one client library', async () => {
    const { modules } = await start(['--events', 'mqtt://127.0.0.1:1']);
    expect(modules).toContain('dist/bundle/microservices.js');
    const packages = modules.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
    expect([...new Set(packages)].sort()).toEqual(['commander', 'mqtt', 'reflect-metadata']);
  });

  it('gives a plug-in its own modules, so that there is one copy of each', async () => {
    const plugin = join(folder, 'plugin.mjs');
    writeFileSync(
      plugin,
      `import { Injectable } from '@nestjs/common';
       import { Notifier } from 'otaflux';
       class Own extends Notifier { name = 'own'; publish() { return Promise.resolve(); } }
       export default { notifiers: [Injectable()(Own) ?? Own] };`,
    );
    const { modules } = await start(['--plugin', plugin]);
    expect(modules).toEqual(expect.arrayContaining(['dist/bundle/door.js', 'dist/bundle/nest.js']));
    expect(modules.filter((path) => /^dist\/(?!bundle\/|main\.js)|node_modules\/@nestjs\//.test(path))).toEqual([]);
  });
});
