import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService } from '../support/service.js';

const firmware = firmwareBytes(2_000_000);
const other = firmwareBytes(2_000_000, 'other');
/** Nothing is served from memory. */
const DISK_ONLY = { CACHE_MEMORY: '1KiB' };

let registry: FakeRegistry;
let folder: string;
beforeEach(async () => {
  registry = await new FakeRegistry().start();
  registry.push('esp32', '1.0.0', firmware);
  folder = mkdtempSync(join(tmpdir(), 'otaflux-e2e-cache-'));
});
afterEach(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});

const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
const onlyFile = (): string => {
  const [name = ''] = readdirSync(join(folder, 'sha256'));
  return join(folder, 'sha256', name);
};

describe('a file of the cache that is harmed under a running server', () => {
  it.each<[string, (path: string) => void]>([
    ['removed', rmSync],
    [
      'cut',
      (path) => {
        truncateSync(path, 1000);
      },
    ],
    [
      'changed',
      (path) => {
        writeFileSync(path, other);
      },
    ],
  ])('%s: the next download is right, and so is the one after', async (reason, harm) => {
    const service = await TestService.start({ REGISTRY_URL: registry.url, CACHE_DIR: folder, ...DISK_ONLY });
    expect((await bytesOf(await service.firmware('esp32'))).equals(firmware)).toBe(true);
    for (const path of ['/firmware?device=esp32', '/firmware?device=esp32&version=1.0.0']) {
      harm(onlyFile());
      const answer = await service.fetch(path);
      expect(answer.status).toBe(200);
      expect((await bytesOf(answer)).equals(firmware)).toBe(true);
    }
    harm(onlyFile());
    const part = await service.firmware('esp32', { headers: { range: 'bytes=100000-199999' } });
    expect(part.status).toBe(206);
    expect((await bytesOf(part)).equals(firmware.subarray(100_000, 200_000))).toBe(true);
    expect(service.events('cache.file_lost')).toMatchObject([
      { reason: reason === 'removed' ? 'removed' : 'changed' },
      { reason: reason === 'removed' ? 'removed' : 'changed' },
      { reason: reason === 'removed' ? 'removed' : 'changed' },
    ]);
    await service.stop();
  });
});

it('two servers share a folder while one takes over from the other', async () => {
  const options = { REGISTRY_URL: registry.url, CACHE_DIR: folder, REFRESH_INTERVAL: '0', ...DISK_ONLY };
  const [old, next] = [await TestService.start(options), await TestService.start(options)];
  for (const [version, bytes] of [
    ['1.1.0', other],
    ['1.2.0', firmwareBytes(3_000_000)],
  ] as const) {
    registry.push('esp32', version, bytes);
    const answers = await Promise.all([old, next, old, next].map((each) => each.firmware('esp32')));
    for (const answer of answers) expect((await bytesOf(answer)).equals(bytes)).toBe(true);
  }
  await old.stop();
  expect((await bytesOf(await next.firmware('esp32&version=1.1.0'))).equals(other)).toBe(true);
  await next.stop();
  expect(readdirSync(folder).sort()).toEqual(['releases', 'sha256']);
});

it('what a neighbour writes of releases just now is left alone, what nobody finished is not', async () => {
  writeFolder(join(folder, 'releases'));
  const [now, before] = [join(folder, 'releases', 'now.tmp'), join(folder, 'releases', 'before.tmp')];
  for (const path of [now, before]) writeFileSync(path, '{');
  const then = new Date(Date.now() - 2 * 3_600_000);
  utimesSync(before, then, then);
  const service = await TestService.start({ REGISTRY_URL: registry.url, CACHE_DIR: folder });
  expect([existsSync(now), existsSync(before)]).toEqual([true, false]);
  await service.stop();
});

describe('what a killed process left', () => {
  const start = async (options: Record<string, string> = {}): Promise<{ server: Cli; url: string }> => {
    const server = new Cli([], {
      REGISTRY_URL: registry.url,
      LISTEN_ADDR: '127.0.0.1:0',
      METRICS_LISTEN_ADDR: '127.0.0.1:0',
      TMPDIR: folder,
      ...DISK_ONLY,
      ...options,
    });
    return { server, url: `http://127.0.0.1:${await server.port()}/firmware?device=esp32` };
  };
  const spools = (): string[] => readdirSync(folder).filter((name) => name.startsWith('otaflux-spool-'));

  it('in the temporary folder is removed at the next start, and never what a neighbour uses', async () => {
    const [killed, living] = [await start(), await start()];
    for (const { url } of [killed, living]) expect((await bytesOf(await fetch(url))).equals(firmware)).toBe(true);
    expect(spools()).toHaveLength(2);
    killed.server.kill('SIGKILL');
    await killed.server.finished;
    const next = await start();
    expect(spools()).toHaveLength(1);
    const before = registry.count('blob');
    expect((await bytesOf(await fetch(living.url))).equals(firmware)).toBe(true);
    expect(registry.count('blob')).toBe(before);
    for (const { server } of [living, next]) {
      server.kill();
      expect((await server.finished).code).toBe(0);
    }
    expect(spools()).toEqual([]);
  });

  it('in the cache folder is removed at the next start, and what another machine writes is not', async () => {
    const cache = join(folder, 'cache');
    registry.fault = (_request, response, kind) => {
      if (kind === 'blob')
        response.writeHead(200, { 'Content-Length': firmware.length }).write(firmware.subarray(0, 500_000));
      return kind === 'blob';
    };
    const killed = await start({ CACHE_DIR: cache });
    const asking = fetch(killed.url).catch(() => undefined);
    const incoming = (): string[] => readdirSync(cache).filter((name) => name.startsWith('incoming-'));
    while (!existsSync(cache) || incoming().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    killed.server.kill('SIGKILL');
    await Promise.all([killed.server.finished, asking]);
    const elsewhere = join(cache, 'incoming-0123456789ab-00');
    const longAgo = join(cache, 'incoming-0123456789ab-01');
    for (const path of [elsewhere, longAgo]) {
      writeFolder(path);
    }
    const then = new Date(Date.now() - 2 * 3_600_000);
    for (const path of [join(longAgo, 'part'), longAgo]) utimesSync(path, then, then);
    registry.fault = () => false;
    const next = await start({ CACHE_DIR: cache });
    expect(incoming()).toEqual(['incoming-0123456789ab-00']);
    expect((await bytesOf(await fetch(next.url))).equals(firmware)).toBe(true);
    next.server.kill();
    await next.server.finished;
  });
});

function writeFolder(path: string): void {
  mkdirSync(path);
  writeFileSync(join(path, 'part'), 'x');
}
