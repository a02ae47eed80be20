import { pipeline, Readable } from 'node:stream';
import { constants, createGunzip, gunzipSync } from 'node:zlib';
import { OtaError } from '../errors.js';
import type { Packing } from './firmware-locator.js';
import { limited, tooLarge } from './limited.js';
import { isMenderArtifact } from './mender-artifact.js';
import { NoFirmware } from './no-firmware.js';
import { OtherEntry } from './other-entry.js';
import { ByteReader } from './tar/byte-reader.js';
import { LayerFiles } from './tar/layer-files.js';
import { BLOCK_BYTES, isTarHeader, isZero } from './tar/tar-header.js';
import { TarReader } from './tar/tar-reader.js';

export interface UnpackOptions {
  readonly packing: Exclude<Packing, 'none'>;
  /** File to select if there are several: its path, or the end of its path. */
  readonly firmwareFile: string | undefined;
  /** Maximum size of the firmware in bytes. */
  readonly maxBytes: number;
  /** The entry of the tar that is the firmware, if an earlier reading has found it. */
  readonly entry?: number | undefined;
}

const MAX_ENTRIES = 10_000;
/** Maximum size of the other files in a layer: a base image. */
const MAX_OTHER_BYTES = 1024 * 1024 * 1024;
/** Number of bytes at the beginning of a layer that are examined: gzip's header and its first code tables fit. */
const PROBE_BYTES = 4096;

/**
 * Yields the firmware in `source`, piece by piece. If the content is a tar or a gzipped tar, it is unpacked, unless it is a
 * Mender artifact, which its client wants as it is. Do not use
 * any byte before the end. `source` is ended in every case. It is read to its end before NoFirmware is thrown, because
 * a wrong digest shows at the end.
 *
 * @throws NoFirmware if a tar has no regular file, several and none is selected, or more than `maxBytes`; OtherEntry if
 *   the firmware is another entry than the given one; OtaError `protocol` if the tar or gzip is broken
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

/** Examines the content, not the media type: ORAS labels files without a type as tars. */
async function* contentOf(layer: ByteReader, options: UnpackOptions): AsyncGenerator<Buffer> {
  const head = await layer.peek(PROBE_BYTES);
  if (isMenderArtifact(head)) yield* limited(layer.take(), options.maxBytes);
  else if (isTarHeader(head)) yield* firmwareIn(new ByteReader(layer.take(), ...unpackedLimit(options)), options);
  else if (isGzip(head) && (options.packing === 'tar+gzip' || isTarHeader(beginningOf(head))))
    yield* gunzipped(layer, options);
  else yield* limited(layer.take(), options.maxBytes);
}

async function* gunzipped(layer: ByteReader, options: UnpackOptions): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  // A failure of either stream ends both. The reader of the second one receives it.
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
    // Its checksum is at the end.
    await tar.skip();
  } finally {
    gunzip.destroy();
  }
}

/** Yields the bytes of the file in a tar that is the firmware. */
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
    // In nearly all layers, it is the first file that may be the firmware. The end shows whether it was.
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

/** Fails for a decompression bomb: more bytes than any acceptable layer has. */
function unpackedLimit({ maxBytes }: UnpackOptions): [number, () => Error] {
  return [maxBytes + MAX_OTHER_BYTES, () => tooLarge(maxBytes)];
}

function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b && (head.length === 2 || head[2] === 8);
}

/** Returns the unpacked beginning of a gzip; empty if it cannot be unpacked. */
function beginningOf(head: Buffer): Buffer {
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return Buffer.alloc(0);
  }
}
