import type { ByteReader } from './byte-reader.js';
import { NO_RECORDS, parsePax, type PaxRecords } from './pax.js';
import { checkMap, readOldMap, readPaxMap, type SparseMap } from './sparse.js';
import { BLOCK_BYTES, brokenTar, inRange, isZero, parseHeader, type TarHeader } from './tar-header.js';

export interface TarEntry {
  readonly type: 'file' | 'hard-link' | 'symbolic-link' | 'other';
  readonly path: string;
  /** Target of a link. */
  readonly linkpath: string;
  /** Size of the unpacked content, including the holes of a sparse file. */
  readonly sizeBytes: number;
  /** Yields the content, piece by piece. Call it once, before the next entry is requested. */
  read(): AsyncGenerator<Buffer, void, undefined>;
}

/** Maximum size of the names and attributes of one entry. More is an attack. */
const MAX_META_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(64 * 1024);
/** Links, devices and folders have no content, whatever size they state. */
const WITHOUT_CONTENT = new Set(['1', '2', '3', '4', '5', '6']);

/**
 * Reads a tar entry by entry while its bytes arrive: ustar, GNU tar and pax, with sparse files of both. It is our own,
 * because the usual library returns sparse files in their stored form, and reads ahead of its caller.
 *
 * Rejects with OtaError `protocol` if the tar is broken.
 */
export class TarReader {
  /** Bytes of the entry that have not been read, and the padding of its last block. */
  private left = 0;
  private padding = 0;

  constructor(private readonly reader: ByteReader) {}

  /** Returns the next entry, or undefined if there are no more. */
  async next(): Promise<TarEntry | undefined> {
    let pax: PaxRecords = NO_RECORDS;
    let longPath: string | undefined;
    let longLink: string | undefined;
    for (;;) {
      await this.skipContent();
      const header = await this.header();
      if (!header) return undefined;
      this.left = WITHOUT_CONTENT.has(header.type) ? 0 : header.sizeBytes;
      this.padding = paddingOf(this.left);
      if (header.type === 'L') longPath = await this.text();
      else if (header.type === 'K') longLink = await this.text();
      else if (header.type === 'x') pax = await this.records();
      // Global headers contain nothing that is needed: a commit, a creation time.
      else if (header.type !== 'g') return this.entry(header, pax, longPath, longLink);
    }
  }

  private async header(): Promise<TarHeader | undefined> {
    const block = await this.reader.read(BLOCK_BYTES);
    if (block.length === 0) return undefined;
    if (block.length < BLOCK_BYTES) throw brokenTar('it ends in a header');
    if (!isZero(block)) return parseHeader(block);
    const second = await this.reader.read(BLOCK_BYTES);
    if (!isZero(second)) throw brokenTar('an empty block is followed by something else');
    return undefined;
  }

  private async entry(
    header: TarHeader,
    pax: PaxRecords,
    longPath: string | undefined,
    longLink: string | undefined,
  ): Promise<TarEntry> {
    const { values } = pax;
    const stated = values.get('size');
    if (stated !== undefined && !WITHOUT_CONTENT.has(header.type)) {
      this.left = inRange(Number(stated));
      this.padding = paddingOf(this.left);
    }
    if (values.has('SCHILY.realsize'))
      throw brokenTar('it contains a sparse file in the format of star, which is not supported');
    const type = typeOf(header);
    const map = type === 'file' ? await this.mapOf(header, pax) : undefined;
    return {
      type,
      path: values.get('GNU.sparse.name') ?? values.get('path') ?? longPath ?? header.path,
      linkpath: values.get('linkpath') ?? longLink ?? header.linkpath,
      sizeBytes: map ? map.sizeBytes : this.left,
      read: () => (map ? this.expanded(map) : this.stored(this.left)),
    };
  }

  /** Returns the map of a sparse file, or undefined if it has no holes. */
  private async mapOf(header: TarHeader, pax: PaxRecords): Promise<SparseMap | undefined> {
    const found = header.type === 'S' ? undefined : await readPaxMap(pax, this.reader);
    this.left -= found?.readBytes ?? 0;
    const map = header.type === 'S' ? await readOldMap(header, this.reader) : found?.map;
    if (map) checkMap(map, this.left);
    return map;
  }

  private async *stored(length: number): AsyncGenerator<Buffer, void, undefined> {
    let missing = length;
    for await (const piece of this.reader.take(length)) {
      this.left -= piece.length;
      missing -= piece.length;
      yield piece;
    }
    if (missing > 0) throw brokenTar('it ends in the middle of a file');
  }

  private async *expanded({ sizeBytes, segments }: SparseMap): AsyncGenerator<Buffer, void, undefined> {
    let at = 0;
    for (let i = 0; i < segments.length; i += 2) {
      const [offset = at, length = 0] = [segments[i], segments[i + 1]];
      yield* zeros(offset - at);
      yield* this.stored(length);
      at = offset + length;
    }
    yield* zeros(sizeBytes - at);
  }

  private async text(): Promise<string | undefined> {
    return (await this.meta())?.toString('utf8').replace(/\0.*$/s, '');
  }

  private async records(): Promise<PaxRecords> {
    const bytes = await this.meta();
    return bytes ? parsePax(bytes) : NO_RECORDS;
  }

  /** Returns the content of a header, or undefined if it is too large to be kept. */
  private async meta(): Promise<Buffer | undefined> {
    if (this.left > MAX_META_BYTES) return undefined;
    const length = this.left;
    const bytes = await this.reader.read(length);
    this.left = 0;
    if (bytes.length < length) throw brokenTar('it ends in the attributes of a file');
    return bytes;
  }

  private async skipContent(): Promise<void> {
    const expected = this.left + this.padding;
    // An archive may end after the content of its last file.
    if ((await this.reader.skip(expected)) < this.left) throw brokenTar('it ends in the middle of a file');
    this.left = 0;
    this.padding = 0;
  }
}

function typeOf({ type, path }: TarHeader): TarEntry['type'] {
  if (type === '1') return 'hard-link';
  if (type === '2') return 'symbolic-link';
  // Before POSIX, a folder was a file whose name ends with a slash.
  return (type === '0' && !path.endsWith('/')) || type === '7' || type === 'S' ? 'file' : 'other';
}

function paddingOf(length: number): number {
  return (BLOCK_BYTES - (length % BLOCK_BYTES)) % BLOCK_BYTES;
}

function* zeros(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left);
}
