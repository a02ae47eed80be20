import { pipeline, Readable } from 'node:stream';
import { constants, createGunzip, gunzipSync } from 'node:zlib';
import { OtaError } from '../errors.js';
import type { Packing } from './firmware-locator.js';
import { limited, tooLarge } from './limited.js';
import { NoFirmware } from './no-firmware.js';
import { OtherEntry } from './other-entry.js';
import { ByteReader } from './tar/byte-reader.js';
import { LayerFiles } from './tar/layer-files.js';
import { BLOCK_BYTES, isTarHeader, isZero } from './tar/tar-header.js';
import { TarReader } from './tar/tar-reader.js';

export interface UnpackOptions {
  readonly packing: Exclude<Packing, 'none'>;
  /** Which file to take where there are several: its path, or its last part. */
  readonly firmwareFile: string | undefined;
  /** Most bytes that firmware may have. */
  readonly maxBytes: number;
  /** The entry of the tar that is the firmware, when an earlier reading has found that out. */
  readonly entry?: number | undefined;
}

const MAX_ENTRIES = 10_000;
/** What may stand in a layer beside the firmware: a base image. */
const MAX_OTHER_BYTES = 1024 * 1024 * 1024;
/** How much of a layer is looked at to see what it is: gzip's header and its first code tables fit. */
const PROBE_BYTES = 4096;

/**
 * The firmware in `source`, unpacked where its content is a tar or a gzipped tar, piece by piece: believe none before
 * the end. `source` is ended in every case. It is read to its end before its content is called no firmware: a wrong
 * digest shows there.
 *
 * @throws NoFirmware when a tar holds no regular file, several and none is named, or more than `maxBytes`; OtherEntry
 *   when the firmware is another entry than the one given; OtaError `protocol` when the tar or gzip is broken.
 */
export async function* unpack(source: AsyncIterable<Buffer>, options: UnpackOptions): AsyncGenerator<Buffer> {
  const upstream = source[Symbol.asyncIterator]();
  const layer = new ByteReader(upstream);
  try {
    yield* contentOf(layer, options);
    await layer.skip();
  } catch (error) {
    if (error instanceof OtherEntry || error instanceof NoFirmware) await layer.skip();
    throw error instanceof OtherEntry ? error : OtaError.from(error, 'protocol', 'the layer cannot be unpacked');
  } finally {
    await upstream.return?.();
  }
}

/** Content decides, not its label: ORAS gives any file without a type that of a tar. */
async function* contentOf(layer: ByteReader, options: UnpackOptions): AsyncGenerator<Buffer> {
  const head = await layer.peek(PROBE_BYTES);
  if (isTarHeader(head)) yield* firmwareIn(new ByteReader(layer.take(), ...unpackedLimit(options)), options);
  else if (isGzip(head) && (options.packing === 'tar+gzip' || isTarHeader(beginningOf(head))))
    yield* gunzipped(layer, options);
  else yield* limited(layer.take(), options.maxBytes);
}

async function* gunzipped(layer: ByteReader, options: UnpackOptions): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  // A failure of either ends both; whoever reads the second learns of it.
  pipeline(Readable.from(layer.take(), { objectMode: false }), gunzip, () => undefined);
  try {
    const tar = new ByteReader(gunzip[Symbol.asyncIterator]() as AsyncIterator<Buffer>, ...unpackedLimit(options));
    const head = await tar.peek(BLOCK_BYTES);
    if (isZero(head)) throw new NoFirmware('the layer contains no file. Push a firmware file');
    if (!isTarHeader(head))
      throw new OtaError(
        'protocol',
        'the layer is compressed with gzip, and contains no tar. Push the firmware as it is, or as a tar.gz',
      );
    yield* firmwareIn(tar, options);
    // Its checksum stands at the end.
    await tar.skip();
  } finally {
    gunzip.destroy();
  }
}

/** The bytes of the file of a tar that is the firmware. */
async function* firmwareIn(bytes: ByteReader, options: UnpackOptions): AsyncGenerator<Buffer> {
  const { firmwareFile, maxBytes } = options;
  const tar = new TarReader(bytes);
  const files = new LayerFiles(firmwareFile);
  let given: number | undefined;
  for (let entry = 0, next = await tar.next(); next; entry++, next = await tar.next()) {
    if (entry >= MAX_ENTRIES)
      throw new OtaError('protocol', `the layer has more than ${MAX_ENTRIES} entries. Push the firmware alone`);
    files.add(next, entry);
    if (next.type === 'file' && next.sizeBytes > maxBytes && firmwareFile === undefined) throw tooLarge(maxBytes);
    const fits = next.type === 'file' && next.sizeBytes > 0 && next.sizeBytes <= maxBytes;
    // In nearly all layers it is the first one that may be. Whether it was shows at the end.
    const wanted =
      options.entry === undefined ? given === undefined && files.mayBe(next.path) : entry === options.entry;
    if (!fits || !wanted) continue;
    given = entry;
    yield* next.read();
  }
  const firmware = options.entry === undefined ? files.firmware() : undefined;
  if (firmware && firmware.sizeBytes > maxBytes) throw tooLarge(maxBytes);
  if (firmware?.sizeBytes === 0)
    throw new NoFirmware(`the file ${firmware.path} in the layer is empty. Push a file with content`);
  if (firmware && firmware.entry !== given) throw new OtherEntry(firmware.entry);
  if (given === undefined)
    throw new OtaError('protocol', 'the registry sent another layer than before. Check the registry and its storage');
}

/** Fails a decompression bomb: more bytes than any acceptable layer has. */
function unpackedLimit({ maxBytes }: UnpackOptions): [number, () => Error] {
  return [maxBytes + MAX_OTHER_BYTES, () => tooLarge(maxBytes)];
}

function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b && (head.length === 2 || head[2] === 8);
}

/** What the beginning of a gzip unpacks to; nothing when it cannot be. */
function beginningOf(head: Buffer): Buffer {
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return Buffer.alloc(0);
  }
}
