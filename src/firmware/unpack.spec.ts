import { describe, expect, it } from '@jest/globals';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { Header } from 'tar';
import { firmwareBytes } from '../../test/support/bytes.js';
import { unpack, type UnpackOptions } from './unpack.js';

interface File {
  readonly path: string;
  readonly bytes?: Buffer;
  readonly type?: 'File' | 'NextFileHasLongPath' | 'Directory' | 'SymbolicLink' | 'Link';
  readonly linkpath?: string;
  /** What the header says, when it lies. */
  readonly size?: number;
}

/** A tar as a builder writes it, or as an attacker does. */
function tarOf(...files: File[]): Buffer {
  const blocks = files.flatMap(({ path, bytes = Buffer.alloc(0), type = 'File', linkpath, size }) => {
    const header = Buffer.alloc(512);
    new Header({
      path,
      type,
      size: size ?? bytes.length,
      mode: 0o644,
      mtime: new Date(0),
      ...(linkpath && { linkpath }),
    }).encode(header);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const pieces = (bytes: Buffer, size = 1000): AsyncIterable<Buffer> =>
  Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })(),
  );

async function unpacked(bytes: Buffer, options: Partial<UnpackOptions> = {}, size?: number): Promise<Buffer> {
  const all: Buffer[] = [];
  const settings: UnpackOptions = { packing: 'tar', firmwareFile: undefined, maxBytes: 10_000_000, ...options };
  for await (const piece of unpack(pieces(bytes, size), settings)) all.push(piece);
  return Buffer.concat(all);
}

const firmware = firmwareBytes(300_000);
const other = firmwareBytes(5_000, 'other');

describe('a layer that is a tar', () => {
  it.each([1, 7, 511, 512, 513, 65_536])('gives its one regular file, in pieces of %d bytes', async (size) => {
    const tar = tarOf({ path: 'usr/', type: 'Directory' }, { path: 'usr/firmware.bin', bytes: firmware });
    const short = size < 100 ? tarOf({ path: 'firmware.bin', bytes: other }) : tar;
    expect((await unpacked(short, {}, size)).equals(size < 100 ? other : firmware)).toBe(true);
  });

  it('gives it from gzip, and when it is empty behind the header only', async () => {
    const layer = gzipSync(tarOf({ path: 'firmware.bin', bytes: firmware }));
    expect((await unpacked(layer, { packing: 'tar+gzip' })).equals(firmware)).toBe(true);
  });

  it('and is none is taken as it stands: oras gives files without a type that of a tar', async () => {
    expect((await unpacked(firmware)).equals(firmware)).toBe(true);
    expect((await unpacked(Buffer.from('tiny'))).toString()).toBe('tiny');
  });

  it.each(['app.bin', '/opt/app.bin', './opt/app.bin', 'opt/app.bin'])('gives the file named %s', async (name) => {
    const tar = tarOf({ path: './opt/boot.bin', bytes: other }, { path: './opt/app.bin', bytes: firmware });
    expect((await unpacked(tar, { firmwareFile: name })).equals(firmware)).toBe(true);
  });

  it('leaves whiteouts, links and folders aside', async () => {
    const tar = tarOf(
      { path: 'a/.wh.old.bin' },
      { path: 'link', type: 'SymbolicLink', linkpath: '/etc/passwd' },
      { path: 'hard', type: 'Link', linkpath: '../../etc/passwd' },
      { path: '../../etc/cron.d/x/', type: 'Directory' },
      { path: '../../firmware.bin', bytes: firmware },
    );
    expect((await unpacked(tar)).equals(firmware)).toBe(true);
  });
});

it('a name of two megabytes costs no memory', async () => {
  const name = {
    path: '././@LongLink',
    bytes: Buffer.alloc(2 * 1024 * 1024, 'a'),
    type: 'NextFileHasLongPath' as const,
  };
  expect((await unpacked(tarOf(name, { path: 'f', bytes: firmware }))).equals(firmware)).toBe(true);
});

describe('a layer is refused that', () => {
  it.each<[string, Buffer, Partial<UnpackOptions>, string, RegExp]>([
    [
      'holds several files',
      tarOf({ path: 'boot.bin', bytes: other }, { path: 'app.bin', bytes: firmware }),
      {},
      'absent',
      /holds several files, boot\.bin, app\.bin: name the one that is the firmware by --firmware-file/,
    ],
    [
      'does not hold the named one',
      tarOf({ path: 'boot.bin', bytes: other }, { path: 'myapp.bin', bytes: firmware }),
      { firmwareFile: 'app.bin' },
      'absent',
      /none is "app\.bin"/,
    ],
    ['holds none', tarOf({ path: 'usr/', type: 'Directory' }), {}, 'absent', /no regular file/],
    ['holds an empty one', tarOf({ path: 'firmware.bin' }), {}, 'absent', /firmware\.bin is empty/],
    ['is an empty archive', gzipSync(Buffer.alloc(1024)), { packing: 'tar+gzip' }, 'absent', /no regular file/],
    ['is too large', tarOf({ path: 'f', bytes: firmware }), { maxBytes: 299_999 }, 'absent', /more than 299999 bytes/],
    ['is too large without a tar', firmware, { maxBytes: 299_999 }, 'absent', /more than 299999 bytes/],
    [
      'says that it is larger than it is',
      tarOf({ path: 'f', bytes: firmware, size: 900_000 }),
      {},
      'protocol',
      /tar|unexpected|truncated/i,
    ],
    ['ends in the middle', tarOf({ path: 'f', bytes: firmware }).subarray(0, 100_000), {}, 'protocol', /./],
    [
      'is gzip that ends in the middle',
      gzipSync(tarOf({ path: 'f', bytes: firmware })).subarray(0, -20),
      { packing: 'tar+gzip' },
      'protocol',
      /unexpected end of file/,
    ],
    ['is no gzip', firmware, { packing: 'tar+gzip' }, 'protocol', /says that it is gzip, and is not/],
    ['is gzip of no tar', gzipSync(firmware), { packing: 'tar+gzip' }, 'protocol', /is no tar/],
    [
      'is compressed twice',
      gzipSync(gzipSync(tarOf({ path: 'f', bytes: firmware }))),
      { packing: 'tar+gzip' },
      'protocol',
      /is no tar/,
    ],
    [
      'has too many entries',
      tarOf(...Array.from({ length: 10_001 }, (_v, i) => ({ path: `d${i}/`, type: 'Directory' as const }))),
      {},
      'protocol',
      /over 10000 entries/,
    ],
  ])('%s', async (_name, layer, options, code, message) => {
    await expect(unpacked(layer, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('is a decompression bomb, long before it is unpacked', async () => {
    const zeros = Buffer.alloc(64 * 1024 * 1024);
    const bomb = gzipSync(Buffer.concat([tarOf({ path: 'f', bytes: zeros }).subarray(0, 512), zeros, zeros]));
    let read = 0;
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const piece of pieces(bomb, 1000)) {
        read += piece.length;
        yield piece;
      }
    }
    const reading = async (): Promise<void> => {
      for await (const piece of unpack(counted(), {
        packing: 'tar+gzip',
        firmwareFile: undefined,
        maxBytes: 1_000_000,
      }))
        expect(piece.length).toBeGreaterThan(0);
    };
    await expect(reading()).rejects.toThrow(/more than 1000000 bytes/);
    expect(read).toBeLessThan(bomb.length);
  });

  it('ends its source when nobody reads on', async () => {
    let ended = false;
    async function* source(): AsyncGenerator<Buffer> {
      try {
        yield* pieces(tarOf({ path: 'f', bytes: firmwareBytes(5_000_000) }));
      } finally {
        ended = true;
      }
    }
    for await (const piece of unpack(source(), { packing: 'tar', firmwareFile: undefined, maxBytes: 10_000_000 })) {
      if (piece.length > 0) break;
    }
    expect(ended).toBe(true);
  });
});
