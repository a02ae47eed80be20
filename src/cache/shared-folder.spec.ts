import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { firmwareBytes } from '../../test/support/bytes.js';
import { until } from '../../test/support/service.js';
import type { FirmwareSource } from './firmware-store.js';
import { TieredStore, type TieredStoreOptions } from './tiered-store.js';

const MiB = 1024 * 1024;
const one = firmwareBytes(3 * MiB, 'one');
const two = firmwareBytes(3 * MiB, 'two');
const three = firmwareBytes(3 * MiB, 'three');
const hex = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const source = (bytes: Buffer): FirmwareSource => ({
  sizeBytes: bytes.length,
  open: () => Readable.from([bytes.subarray(0, MiB), bytes.subarray(MiB)]),
});

let folder: string;
const stores: TieredStore[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'otaflux-cache-'));
});
afterEach(async () => {
  for (const one of stores.splice(0)) await one.onApplicationShutdown();
  rmSync(folder, { recursive: true, force: true });
});

/** A store that keeps nothing in memory, as one whose memory is taken by other firmware. */
async function store(options: Partial<TieredStoreOptions> = {}): Promise<TieredStore> {
  const made = new TieredStore({
    maxEntries: 100,
    memoryBytes: 1000,
    checksum: 'crc32',
    directory: folder,
    diskBytes: 100 * MiB,
    ...options,
  });
  stores.push(made);
  await made.start();
  return made;
}

/** What a device gets: restored, as the release service does it, when it is not there. */
async function served(from: TieredStore, bytes: Buffer): Promise<Buffer> {
  if (!from.has(hex(bytes)) && !(await from.find(hex(bytes)))) await from.put(source(bytes));
  const lease = from.open(hex(bytes));
  if (!lease) throw new Error('it is not there');
  const all = lease.bytes ?? Buffer.concat((await lease.read(0, bytes.length - 1).toArray()) as Buffer[]);
  lease.release();
  return all;
}

const path = (bytes: Buffer): string => join(folder, 'sha256', hex(bytes));
const openFiles = (): number => readdirSync('/proc/self/fd').length;

describe('a file that was harmed under a running server', () => {
  it.each<[string, (path: string) => void]>([
    [
      'removed',
      (at) => {
        rmSync(at);
      },
    ],
    [
      'cut',
      (at) => {
        truncateSync(at, 100_000);
      },
    ],
    [
      'emptied',
      (at) => {
        truncateSync(at, 0);
      },
    ],
    [
      'changed in one byte, its time put back',
      (at) => {
        const times = new Date(0);
        const file = openSync(at, 'r+');
        writeSync(file, 'x', 1000);
        closeSync(file);
        utimesSync(at, times, times);
      },
    ],
    [
      'longer',
      (at) => {
        writeFileSync(at, 'x', { flag: 'a' });
      },
    ],
    [
      'put in its place by another',
      (at) => {
        writeFileSync(`${at}.other`, two);
        renameSync(`${at}.other`, at);
      },
    ],
    [
      'made a folder',
      (at) => {
        rmSync(at);
        mkdirSync(at);
      },
    ],
  ])('%s is noticed, and right again', async (_name, harm) => {
    const running = await store();
    expect((await served(running, one)).equals(one)).toBe(true);
    harm(path(one));
    expect(running.has(hex(one))).toBe(false);
    expect((await served(running, one)).equals(one)).toBe(true);
  });

  it.each<[string, (path: string) => void]>([
    [
      'removed',
      (at) => {
        rmSync(at);
      },
    ],
    [
      'changed',
      (at) => {
        writeFileSync(at, two);
      },
    ],
  ])('%s between the question and the download is not opened', async (_name, harm) => {
    const running = await store();
    await running.put(source(one));
    expect(running.has(hex(one))).toBe(true);
    harm(path(one));
    expect(running.open(hex(one))).toBeUndefined();
    expect(running.has(hex(one))).toBe(false);
  });

  it('cut while it is read ends with an error, never as if it were whole', async () => {
    const running = await store();
    await running.put(source(one));
    const lease = running.open(hex(one));
    const reading = lease?.read(0, one.length - 1);
    await new Promise((resolve) => reading?.once('readable', resolve));
    truncateSync(path(one), MiB);
    await expect(reading?.toArray()).rejects.toThrow(/ends before/);
    lease?.release();
    expect((await served(running, one)).equals(one)).toBe(true);
  });

  it('removed while it is read is read to its end', async () => {
    const running = await store();
    await running.put(source(one));
    const lease = running.open(hex(one));
    const reading = lease?.read(0, one.length - 1);
    await new Promise((resolve) => reading?.once('readable', resolve));
    rmSync(path(one));
    expect(Buffer.concat((await reading?.toArray()) as Buffer[]).equals(one)).toBe(true);
    lease?.release();
  });
});

describe('files are closed', () => {
  it.each<[string, (read: Readable) => Promise<unknown>]>([
    ['read to the end', (read) => read.toArray()],
    [
      'given up in the middle',
      async (read) => {
        await new Promise((resolve) => read.once('readable', resolve));
        read.destroy();
      },
    ],
    ['given up before the first byte', (read) => Promise.resolve(read.destroy())],
  ])('%s, whether the lease or the stream ends first', async (_name, use) => {
    const running = await store();
    await running.put(source(one));
    const before = openFiles();
    for (const releaseFirst of [true, false]) {
      const lease = running.open(hex(one));
      const reading = lease?.read(0, one.length - 1) ?? Readable.from([]);
      if (releaseFirst) lease?.release();
      await use(reading);
      if (!releaseFirst) lease?.release();
    }
    running.open(hex(one))?.release();
    await until(() => openFiles() === before, 'every file to be closed');
  });
});

describe('two processes on one folder', () => {
  it('do not take away from each other what is being written', async () => {
    const writing = await store();
    let goOn = (): void => undefined;
    const paused = new Promise<void>((resolve) => (goOn = resolve));
    let begun = false;
    const putting = writing.put({
      sizeBytes: one.length,
      async *open() {
        yield one.subarray(0, MiB);
        begun = true;
        await paused;
        yield one.subarray(MiB);
      },
    });
    await until(() => begun, 'the first bytes');
    const starting = await store();
    goOn();
    await putting;
    expect(readFileSync(path(one)).equals(one)).toBe(true);
    expect((await served(writing, one)).equals(one)).toBe(true);
    expect((await served(starting, one)).equals(one)).toBe(true);
  });

  it('go on when one drops what the other serves', async () => {
    const a = await store();
    await a.put(source(one));
    const b = await store({ diskBytes: 4 * MiB });
    const lease = a.open(hex(one));
    const reading = lease?.read(0, one.length - 1);
    await b.put(source(two));
    await until(() => !existsSync(path(one)), 'the first one to be dropped');
    expect(Buffer.concat((await reading?.toArray()) as Buffer[]).equals(one)).toBe(true);
    lease?.release();
    for (const bytes of [one, two, three]) {
      expect((await served(a, bytes)).equals(bytes)).toBe(true);
      expect((await served(b, bytes)).equals(bytes)).toBe(true);
    }
  });

  it('do not make each other read the same file again and again', async () => {
    await (await store()).put(source(one));
    const [a, b] = [await store(), await store()];
    for (const each of [a, b, a, b]) await each.find(hex(one));
    expect([a.has(hex(one)), b.has(hex(one))]).toEqual([true, true]);
  });

  it('do not drop a file that the other one has put in the place of ours', async () => {
    const [a, b] = [await store({ diskBytes: 4 * MiB }), await store()];
    await a.put(source(one));
    await b.put(source(one));
    await a.put(source(two));
    expect(b.has(hex(one))).toBe(true);
    expect((await served(b, one)).equals(one)).toBe(true);
  });

  it('do not remove a good file because an earlier one was broken', async () => {
    await (await store()).put(source(one));
    writeFileSync(path(one), two);
    const [a, b] = [await store(), await store()];
    const [inA, inB] = await Promise.all([a.find(hex(one)), b.find(hex(one))]);
    expect([inA, inB]).toEqual([undefined, undefined]);
    await a.put(source(one));
    await b.find(hex(one));
    expect((await served(a, one)).equals(one)).toBe(true);
    expect((await served(b, one)).equals(one)).toBe(true);
  });

  it('serve the right bytes while both write, drop and start again', async () => {
    const all = Array.from({ length: 6 }, (_value, i) => firmwareBytes(MiB + i, `firmware ${i}`));
    const work = async (seed: number): Promise<void> => {
      for (let round = 0; round < 4; round++) {
        const own = await store({ diskBytes: 3.5 * MiB });
        for (let i = 0; i < all.length; i++) {
          const bytes = all[(i * (seed + 1) + round) % all.length] ?? one;
          // What the other one drops between our question and our opening is asked for again, as devices do.
          await until(
            async () => (await served(own, bytes).catch(() => undefined))?.equals(bytes) ?? false,
            'the bytes',
          );
        }
      }
    };
    await Promise.all([work(0), work(4)]);
    for (const name of readdirSync(join(folder, 'sha256')))
      expect(hex(readFileSync(join(folder, 'sha256', name)))).toBe(name);
  });
});

it('a stopped store leaves nothing temporary', async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('otaflux-spool-'));
  const [cached, spooled] = [await store(), await store({ directory: undefined })];
  await cached.put(source(one));
  await spooled.put(source(two));
  const lease = spooled.open(hex(two));
  const reading = lease?.read(0, two.length - 1);
  for (const each of stores.splice(0)) await each.onApplicationShutdown();
  expect(readdirSync(folder)).toEqual(['sha256']);
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith('otaflux-spool-'))).toEqual(before);
  expect(Buffer.concat((await reading?.toArray()) as Buffer[]).equals(two)).toBe(true);
  lease?.release();
});
