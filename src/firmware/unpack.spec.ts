import { describe, expect, it } from '@jest/globals';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { firmwareBytes } from '../../test/support/bytes.js';
import { gnuTar, tarOf } from '../../test/support/tar.js';
import { NoFirmware } from './no-firmware.js';
import { ofRightEntry } from './other-entry.js';
import { unpack, type UnpackOptions } from './unpack.js';

const pieces = (bytes: Buffer, size = 1000): AsyncIterable<Buffer> =>
  Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })(),
  );

function unpacked(bytes: Buffer, options: Partial<UnpackOptions> = {}, size?: number): Promise<Buffer> {
  const settings: UnpackOptions = { packing: 'tar', firmwareFile: undefined, maxBytes: 10_000_000, ...options };
  return ofRightEntry(async (entry) => {
    const all: Buffer[] = [];
    for await (const piece of unpack(pieces(bytes, size), { ...settings, entry })) all.push(piece);
    return Buffer.concat(all);
  });
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
      /contains several files: boot\.bin, app\.bin\. Name the one that is the firmware with --firmware-file/,
    ],
    [
      'does not hold the named one',
      tarOf({ path: 'boot.bin', bytes: other }, { path: 'myapp.bin', bytes: firmware }),
      { firmwareFile: 'app.bin' },
      'absent',
      /and not "app\.bin", which --firmware-file names/,
    ],
    ['holds none', tarOf({ path: 'usr/', type: 'Directory' }), {}, 'absent', /contains no file/],
    [
      'holds an empty one',
      tarOf({ path: 'firmware.bin' }),
      {},
      'absent',
      /the file firmware\.bin in the layer is empty/,
    ],
    ['is an empty archive', gzipSync(Buffer.alloc(1024)), { packing: 'tar+gzip' }, 'absent', /contains no file/],
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
    ['is gzip of no tar', gzipSync(firmware), { packing: 'tar+gzip' }, 'protocol', /contains no tar/],
    [
      'is compressed twice',
      gzipSync(gzipSync(tarOf({ path: 'f', bytes: firmware }))),
      { packing: 'tar+gzip' },
      'protocol',
      /contains no tar/,
    ],
    [
      'has too many entries',
      tarOf(...Array.from({ length: 10_001 }, (_v, i) => ({ path: `d${i}/`, type: 'Directory' as const }))),
      {},
      'protocol',
      /more than 10000 entries/,
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
    const bytes = unpack(counted(), { packing: 'tar+gzip', firmwareFile: undefined, maxBytes: 1_000_000 });
    await expect(bytes.next()).rejects.toThrow(/more than 1000000 bytes/);
    // The packed bytes are read to their end: only there it shows whether they are those that were published.
    expect(read).toBe(bomb.length);
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

describe('content decides, not the label', () => {
  const tar = tarOf({ path: 'app.bin', bytes: firmware });
  const gzipLike = Buffer.concat([Buffer.from([0x1f, 0x8b, 0x00]), firmware]);
  const packedFirmware = gzipSync(firmware);
  it.each<[string, UnpackOptions['packing'], Buffer, Buffer]>([
    ['neither gzip nor tar is the firmware itself', 'tar+gzip', firmware, firmware],
    ['so is one of a few bytes', 'tar+gzip', Buffer.from('tiny'), Buffer.from('tiny')],
    ['so is what only begins as gzip', 'tar+gzip', gzipLike, gzipLike],
    [
      'so is what begins with zeros',
      'tar+gzip',
      Buffer.concat([Buffer.alloc(1024), other]),
      Buffer.concat([Buffer.alloc(1024), other]),
    ],
    ['a tar that is called gzip is unpacked', 'tar+gzip', tar, firmware],
    ['a gzipped tar that is called a tar is unpacked', 'tar', gzipSync(tar), firmware],
    ['gzipped firmware that is called a tar is the firmware itself', 'tar', packedFirmware, packedFirmware],
    [
      'a gzip of several members',
      'tar+gzip',
      Buffer.concat([gzipSync(tar.subarray(0, 777)), gzipSync(tar.subarray(777))]),
      firmware,
    ],
    ['a tar with records for all entries', 'tar', Buffer.concat([globalRecords(), tar]), firmware],
  ])('%s', async (_name, packing, layer, expected) => {
    for (const size of [700, 1_000_000]) expect((await unpacked(layer, { packing }, size)).equals(expected)).toBe(true);
  });

  it.each([1, 5, 10, 30, 200, -4])('but gzip that breaks off after %d bytes is an error', async (length) => {
    const layer = gzipSync(tarOf({ path: 'app.bin', bytes: other })).subarray(0, length);
    const whole = length === 1;
    const outcome = unpacked(layer, { packing: 'tar+gzip' });
    // A single byte is nothing that could be told from firmware.
    if (whole) expect(await outcome).toEqual(layer);
    else
      await expect(outcome).rejects.toMatchObject({
        code: 'protocol',
        message: expect.stringMatching(/unexpected end/),
      });
  });
});

describe('a sparse file is given with its holes', () => {
  /** Holes in front, in the middle and behind, in more pieces than one header takes. */
  const sparse = Buffer.alloc(3 * 1024 * 1024 + 4096);
  for (let at = 100_000; at < 3_000_000; at += 65_536) firmwareBytes(3_000, `at ${at}`).copy(sparse, at);
  const write =
    (name: string, bytes = sparse) =>
    (folder: string): string[] => {
      const file = openSync(join(folder, name), 'w');
      ftruncateSync(file, bytes.length);
      for (let at = 0; at < bytes.length; at += 4096) {
        const block = bytes.subarray(at, at + 4096);
        if (block.some((byte) => byte !== 0)) writeSync(file, block, 0, block.length, at);
      }
      closeSync(file);
      return [name];
    };
  it.each([
    ['--format=gnu'],
    ['--format=posix', '--sparse-version=0.0'],
    ['--format=posix', '--sparse-version=0.1'],
    ['--format=posix', '--sparse-version=1.0'],
  ])('as GNU tar writes it with %s %s', async (...options) => {
    const tar = gnuTar(['--sparse', ...options], write('app.bin'));
    expect(tar.length).toBeLessThan(sparse.length);
    for (const size of [511, 100_000]) expect((await unpacked(tar, {}, size)).equals(sparse)).toBe(true);
    expect((await unpacked(tar, { firmwareFile: 'app.bin' })).equals(sparse)).toBe(true);
    await expect(unpacked(tar, { maxBytes: sparse.length - 1 })).rejects.toThrow(/more than 3149823 bytes/);
  });

  it.each(['--format=gnu', '--format=posix'])('or passed over, where another one is named, %s', async (format) => {
    const tar = gnuTar(['--sparse', format], (folder) => {
      writeFileSync(join(folder, 'app.bin'), firmware);
      return [...write('disk.img')(folder), 'app.bin'];
    });
    expect((await unpacked(tar, { firmwareFile: 'app.bin' })).equals(firmware)).toBe(true);
    await expect(unpacked(tar)).rejects.toThrow('several files: disk.img, app.bin');
  });

  it('and one of holes only is no archive of zeros', async () => {
    const empty = Buffer.alloc(1 << 20);
    const tar = gnuTar(['--sparse', '--format=posix'], write('app.bin', empty));
    expect((await unpacked(tar)).equals(empty)).toBe(true);
  });

  it.each([
    ['out of order', '2\n8192\n512\n0\n512\n', 16_384],
    ['beyond its end', '1\n16384\n1024\n', 16_384],
    ['with other bytes than are stored', '1\n0\n2048\n', 16_384],
    ['of no numbers', 'a\n', 16_384],
    ['of a million pieces', '1000000\n', 16_384],
    ['without an end', '9'.repeat(512), 16_384],
  ])('its map %s is refused', async (_name, map, size) => {
    const content = Buffer.concat([Buffer.from(map.padEnd(512, '\0')), other.subarray(0, 1024)]);
    const records = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': String(size) };
    const tar = Buffer.concat([paxRecords(records), tarOf({ path: 'a', bytes: content })]);
    await expect(unpacked(tar)).rejects.toMatchObject({ code: 'protocol', message: expect.stringMatching(/sparse/) });
  });
});

describe('names in a layer', () => {
  const link = (path: string, linkpath: string): Parameters<typeof tarOf>[0] => ({
    path,
    linkpath,
    type: 'SymbolicLink',
  });
  const hard = (path: string, linkpath: string): Parameters<typeof tarOf>[0] => ({ path, linkpath, type: 'Link' });
  const file = (path: string, bytes = firmware): Parameters<typeof tarOf>[0] => ({ path, bytes });

  it.each<[string, string | undefined, Parameters<typeof tarOf>]>([
    ['a hard link', 'current.bin', [file('boot.bin', other), file('v2.bin'), hard('current.bin', 'v2.bin')]],
    ['a hard link by ./', 'current.bin', [file('./a/v2.bin'), file('z', other), hard('./a/current.bin', './a/v2.bin')]],
    ['what a hard link names', 'v2.bin', [file('v2.bin'), file('b', other), hard('current.bin', 'v2.bin')]],
    ['a hard link to what was replaced', 'old', [file('a'), hard('old', 'a'), file('a', other)]],
    ['a symbolic link', 'current', [file('opt/v2.bin'), file('b', other), link('opt/current', 'v2.bin')]],
    ['a symbolic link in front', 'current', [link('opt/current', '../v2.bin'), file('b', other), file('v2.bin')]],
    ['an absolute link', 'current', [link('opt/current', '/x/v2.bin'), file('b', other), file('x/v2.bin')]],
    ['a link of a link', 'a', [link('a', 'b'), link('b', 'c'), file('z', other), file('c')]],
    ['a path by a linked folder', 'now/app', [file('v1/app', other), file('v2/app'), link('now', 'v2')]],
    ['a hard link to a link', 'h', [file('z', other), file('v2'), link('a', 'v2'), hard('h', 'a')]],
    ['the whole path rather than the end of one', 'app', [file('boot/app', other), file('app')]],
    ['the last of two with one path', undefined, [file('app', other), file('app')]],
    ['the last of three, written otherwise', undefined, [file('app', other), file('./app', other), file('/app')]],
    ['the last of two, named', 'app', [file('boot', other), file('app', other), file('app')]],
    ['the last of two, the first one empty', undefined, [file('app', Buffer.alloc(0)), file('app')]],
    ['the only file with a second name', undefined, [file('app'), hard('current', 'app'), link('now', 'app')]],
    ['what a link took the place of', undefined, [file('b', other), file('app'), link('b', 'app')]],
  ])('%s', async (_name, firmwareFile, files) => {
    for (const packing of ['tar', 'tar+gzip'] as const) {
      const layer = packing === 'tar' ? tarOf(...files) : gzipSync(tarOf(...files));
      expect((await unpacked(layer, { firmwareFile, packing })).equals(firmware)).toBe(true);
    }
  });

  it.each<[string, string | undefined, Parameters<typeof tarOf>, RegExp]>([
    ['several, the first one empty', undefined, [file('a', Buffer.alloc(0)), file('b')], /several files: a, b\. Name/],
    ['several, the last one empty', undefined, [file('a'), file('b', Buffer.alloc(0))], /several files: a, b\. Name/],
    [
      'the last of two is empty',
      undefined,
      [file('a'), file('a', Buffer.alloc(0))],
      /the file a in the layer is empty/,
    ],
    [
      'a link that leads out',
      'a',
      [link('a', '../../etc/passwd'), file('b')],
      /a links to \.\.\/\.\.\/etc\/passwd, which is not a file/,
    ],
    ['a link in a circle', 'a', [link('a', 'b'), link('b', 'a'), file('c')], /which is not a file of this layer/],
    ['a hard link to nothing', 'a', [hard('a', 'gone'), file('c')], /which is not a file of this layer/],
    ['one file that is not the one', 'x', [file('a')], /one file: a, and not "x", which --firmware-file names/],
    ['thirteen files', undefined, Array.from({ length: 13 }, (_v, i) => file(`f${i}`)), /f9 and 3 more\. Name/],
  ])('no firmware: %s', async (_name, firmwareFile, files, reason) => {
    const outcome = unpacked(tarOf(...files), { firmwareFile });
    await expect(outcome).rejects.toBeInstanceOf(NoFirmware);
    await expect(unpacked(tarOf(...files), { firmwareFile })).rejects.toThrow(reason);
  });

  it.each(['gnu', 'posix', 'ustar', 'v7'])(
    'longer than a header takes, as GNU tar writes them in %s',
    async (format) => {
      const folderName = format === 'gnu' || format === 'posix' ? 'ä'.repeat(100) : 'a'.repeat(60);
      const tar = gnuTar([`--format=${format}`], (folder) => {
        mkdirSync(join(folder, folderName));
        writeFileSync(join(folder, folderName, 'app.bin'), firmware);
        writeFileSync(join(folder, 'other.bin'), other);
        return [folderName, 'other.bin'];
      });
      expect((await unpacked(tar, { firmwareFile: `${folderName}/app.bin` })).equals(firmware)).toBe(true);
    },
  );
});

describe('a verdict on bytes waits for their end, where a wrong digest shows', () => {
  it.each<[string, Buffer]>([
    ['several files', tarOf({ path: 'a', bytes: firmware }, { path: 'b', bytes: firmware })],
    ['too large', tarOf({ path: 'a', bytes: firmwareBytes(2_000_000) })],
    ['none', Buffer.concat([tarOf({ path: 'a/', type: 'Directory' }), other])],
  ])('%s', async (_name, layer) => {
    async function* source(): AsyncGenerator<Buffer> {
      yield* pieces(layer);
      throw new Error('another digest');
    }
    const bytes = unpack(source(), { packing: 'tar', firmwareFile: undefined, maxBytes: 1_000_000 });
    await expect(Readable.from(bytes).toArray()).rejects.toThrow('another digest');
  });
});

function globalRecords(): Buffer {
  return paxRecords({ comment: 'a'.repeat(40) }, 'GlobalExtendedHeader');
}

/** An extended header with these records. */
function paxRecords(
  records: Record<string, string>,
  type: 'ExtendedHeader' | 'GlobalExtendedHeader' = 'ExtendedHeader',
): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const length = key.length + value.length + 3;
    const whole = length + String(length + 2).length;
    return `${whole} ${key}=${value}\n`;
  });
  return tarOf({ path: 'PaxHeader', type, bytes: Buffer.from(lines.join('')) }).subarray(0, -1024);
}
