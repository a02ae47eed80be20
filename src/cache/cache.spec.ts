import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../../test/support/bytes.js';
import type { Checksum } from '../config/index.js';
import { runningCrc } from './crc.js';
import { FirmwareDigester } from './firmware-digester.js';
import type { FirmwareSource } from './firmware-store.js';
import { TieredStore, type TieredStoreOptions } from './tiered-store.js';

const MiB = 1024 * 1024;
const one = firmwareBytes(MiB, 'one');
const two = firmwareBytes(MiB, 'two');
const three = firmwareBytes(MiB, 'three');
const hex = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const source = (bytes: Buffer, sizeBytes: number | undefined = bytes.length): FirmwareSource => ({
  sizeBytes,
  async *open() {
    for (let at = 0; at < bytes.length; at += 65_536) yield await Promise.resolve(bytes.subarray(at, at + 65_536));
  },
});

let folder: string;
let failures: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'otaflux-cache-'));
  failures = 0;
});
afterEach(() => {
  chmodSync(folder, 0o755);
  rmSync(folder, { recursive: true, force: true });
});

async function store(options: Partial<TieredStoreOptions> = {}): Promise<TieredStore> {
  const made = new TieredStore({
    maxEntries: 100,
    memoryBytes: 10 * MiB,
    checksum: 'crc32',
    directory: undefined,
    diskBytes: 10 * MiB,
    onDiskFailure: () => failures++,
    ...options,
  });
  await made.start();
  return made;
}

async function read(from: TieredStore, bytes: Buffer): Promise<Buffer | undefined> {
  const lease = from.open(hex(bytes));
  if (!lease) return undefined;
  try {
    return lease.bytes ?? Buffer.concat((await lease.read(0, bytes.length - 1).toArray()) as Buffer[]);
  } finally {
    lease.release();
  }
}

describe('digests', () => {
  it('are those that everybody computes', () => {
    const digester = new FirmwareDigester('crc32mpeg2');
    for (const piece of ['1234', '', '56789']) digester.update(Buffer.from(piece));
    expect(digester.finish()).toEqual({
      sizeBytes: 9,
      crc32: 0xcbf43926,
      checksum: 0x0376e6e7,
      md5: '25f9e794323b453885f5181f1b624d0b',
      sha1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
      sha256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
    });
  });

  // "Check" values of the CRC RevEng catalogue (reveng.sourceforge.io/crc-catalogue), for the bytes "123456789".
  it.each<[Checksum, number]>([
    ['crc32', 0xcbf43926],
    ['crc32c', 0xe3069283],
    ['crc32mpeg2', 0x0376e6e7],
    ['crcjam', 0x340bc6d9],
    ['crc24', 0x21cf02],
    ['crc16', 0xbb3d],
    ['crc16ccitt', 0x29b1],
    ['crc16kermit', 0x2189],
    ['crc16modbus', 0x4b37],
    ['crc16xmodem', 0x31c3],
    ['crc8', 0xf4],
    ['crc81wire', 0xa1],
    ['crc8dvbs2', 0xbc],
  ])('%s', (name, expected) => {
    const crc = runningCrc(name);
    expect(crc(Buffer.from('6789'), crc(Buffer.from('12345'), undefined)) >>> 0).toBe(expected);
  });
});

describe('in memory', () => {
  it('drops the least recently used, by number', async () => {
    const memory = await store({ maxEntries: 2 });
    await memory.put(source(one));
    await memory.put(source(two));
    await read(memory, one);
    await memory.put(source(three));
    expect([memory.has(hex(one)), memory.has(hex(two)), memory.has(hex(three))]).toEqual([true, false, true]);
  });

  it('drops the least recently used, by bytes', async () => {
    const memory = await store({ memoryBytes: 2.5 * MiB });
    for (const bytes of [one, two, three]) await memory.put(source(bytes));
    expect(memory.sample()).toMatchObject({ memoryEntries: 2, memoryBytes: 2 * MiB });
    expect(memory.has(hex(one))).toBe(false);
  });

  it('never drops what is in use', async () => {
    const memory = await store({ memoryBytes: 2.5 * MiB });
    await memory.put(source(one));
    const lease = memory.open(hex(one));
    for (const bytes of [two, three]) await memory.put(source(bytes));
    expect(memory.has(hex(one))).toBe(true);
    expect(lease?.bytes?.equals(one)).toBe(true);
    lease?.release();
    await memory.put(source(two));
    await memory.put(source(firmwareBytes(MiB, 'four')));
    expect(memory.has(hex(one))).toBe(false);
  });

  it('drops what is held last of all', async () => {
    const memory = await store({ memoryBytes: 2.5 * MiB });
    await memory.put(source(one));
    memory.hold(hex(one), performance.now() + 60_000);
    await memory.put(source(two));
    await memory.put(source(three));
    expect([memory.has(hex(one)), memory.has(hex(two))]).toEqual([true, false]);
  });

  it('keeps nothing of a source that fails, and tells why', async () => {
    const memory = await store();
    const broken: FirmwareSource = {
      sizeBytes: 2 * MiB,
      async *open() {
        yield await Promise.resolve(one);
        throw new Error('cut');
      },
    };
    await expect(memory.put(broken)).rejects.toThrow('cut');
    expect(memory.sample()).toMatchObject({ memoryEntries: 0, memoryBytes: 0, diskEntries: 0 });
  });

  it('takes what comes without a size', async () => {
    const memory = await store();
    const firmware = await memory.put(source(one, undefined));
    expect(firmware.sha256).toBe(hex(one));
    expect((await read(memory, one))?.equals(one)).toBe(true);
  });
});

describe('larger than the memory for it', () => {
  it.each([['known', one.length] as const, ['unknown', undefined] as const])(
    'is served from a temporary folder, its size %s',
    async (_name, size) => {
      const small = await store({ memoryBytes: 100_000 });
      await small.put(source(one, size));
      expect(small.sample()).toMatchObject({ memoryEntries: 0, diskEntries: 1 });
      expect((await read(small, one))?.equals(one)).toBe(true);
      const lease = small.open(hex(one));
      expect(Buffer.concat((await lease?.read(10, 19).toArray()) as Buffer[]).equals(one.subarray(10, 20))).toBe(true);
      lease?.release();
    },
  );

  it('and than the folder for it is served all the same, until something else comes', async () => {
    const small = await store({ memoryBytes: 100_000, diskBytes: 100_000, directory: folder });
    await small.put(source(one));
    expect((await read(small, one))?.equals(one)).toBe(true);
    await small.put(source(two));
    expect([small.has(hex(one)), small.has(hex(two))]).toEqual([false, true]);
  });
});

describe('on disk', () => {
  const files = (): string[] => readdirSync(join(folder, 'sha256')).sort();

  it('survives a restart, its digest checked on first use', async () => {
    await (await store({ directory: folder })).put(source(one));
    expect(files()).toEqual([hex(one)]);
    const again = await store({ directory: folder });
    expect(again.open(hex(one))).toBeUndefined();
    expect(await again.find(hex(one))).toMatchObject({ sizeBytes: MiB, sha256: hex(one) });
    expect((await read(again, one))?.equals(one)).toBe(true);
  });

  it.each([
    [
      'changed',
      (path: string) => {
        writeFileSync(path, two);
      },
    ],
    [
      'cut short',
      (path: string) => {
        truncateSync(path, 1000);
      },
    ],
  ])('a file that was %s is never served, and removed', async (_name, harm) => {
    await (await store({ directory: folder })).put(source(one));
    harm(join(folder, 'sha256', hex(one)));
    const again = await store({ directory: folder });
    expect(await again.find(hex(one))).toBeUndefined();
    expect(again.open(hex(one))).toBeUndefined();
    expect(files()).toEqual([]);
    expect(failures).toBe(1);
    expect((await again.put(source(one))).sha256).toBe(hex(one));
  });

  it('is bounded by bytes, the oldest dropped first, also across a restart', async () => {
    const disk = await store({ directory: folder, diskBytes: 2.5 * MiB, memoryBytes: 1000 });
    for (const bytes of [one, two, three]) await disk.put(source(bytes));
    expect(disk.sample()).toMatchObject({ diskEntries: 2, diskBytes: 2 * MiB });
    const smaller = await store({ directory: folder, diskBytes: 1.5 * MiB, memoryBytes: 1000 });
    expect(smaller.sample().diskEntries).toBe(1);
  });

  it('removes what an earlier run did not finish', async () => {
    mkdirSync(join(folder, 'sha256'));
    writeFileSync(join(folder, 'sha256', 'half.tmp'), 'x');
    await store({ directory: folder });
    expect(files()).toEqual([]);
  });

  it('that fails is done without: firmware is served from memory', async () => {
    const file = join(folder, 'not-a-folder');
    writeFileSync(file, '');
    const disk = await store({ directory: file });
    await disk.put(source(one));
    expect((await read(disk, one))?.equals(one)).toBe(true);
    expect(disk.sample().diskHealthy).toBe(false);
    expect(failures).toBeGreaterThan(0);
  });

  it('that vanishes while it is used is made again', async () => {
    const disk = await store({ directory: folder });
    rmSync(join(folder, 'sha256'), { recursive: true });
    await disk.put(source(one));
    expect(existsSync(join(folder, 'sha256', hex(one)))).toBe(true);
    expect(statSync(join(folder, 'sha256', hex(one))).size).toBe(MiB);
  });
});
