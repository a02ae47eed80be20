import type { ByteReader } from './byte-reader.js';
import { BLOCK_BYTES, brokenTar, inRange, numberAt, type TarHeader } from './tar-header.js';
import type { PaxRecords } from './pax.js';

/** The positions of the bytes of a file that a tar contains. All other bytes are zero. */
export interface SparseMap {
  readonly sizeBytes: number;
  /** Offsets and lengths, alternating. */
  readonly segments: readonly number[];
}

/** A file with more pieces is an attack. */
const MAX_SEGMENTS = 100_000;

/**
 * Reads the map in a header of GNU tar's own format (type `S`) and in the blocks after it, which its size does not
 * include (GNU tar manual, "Old GNU Format").
 */
export async function readOldMap({ block }: TarHeader, reader: ByteReader): Promise<SparseMap> {
  const segments = pairsIn(block, 386, 4);
  for (let more = block[482] !== 0; more;) {
    const extension = await reader.read(BLOCK_BYTES);
    if (extension.length < BLOCK_BYTES) throw brokenTar('it ends in the map of a sparse file');
    segments.push(...pairsIn(extension, 0, 21));
    if (segments.length > 2 * MAX_SEGMENTS) throw tooManySegments();
    more = extension[504] !== 0;
  }
  return { sizeBytes: numberAt(block, 483, 12), segments };
}

/**
 * Reads the map in PAX records, version 0.0 or 0.1, or at the beginning of the content, version 1.0 (GNU tar manual,
 * "PAX Format, Versions"). Returns undefined if there is none. Also returns the number of bytes of the content that it
 * read.
 */
export async function readPaxMap(
  records: PaxRecords,
  reader: ByteReader,
): Promise<{ map: SparseMap; readBytes: number } | undefined> {
  const { values, sparsePairs } = records;
  const version = `${values.get('GNU.sparse.major') ?? '0'}.${values.get('GNU.sparse.minor') ?? '0'}`;
  const real = values.get('GNU.sparse.realsize') ?? values.get('GNU.sparse.size');
  if (version === '1.0') {
    const { segments, readBytes } = await mapInContent(reader);
    return { map: { sizeBytes: decimal(real), segments }, readBytes };
  }
  const isSparse = [...values.keys()].some((key) => key.startsWith('GNU.sparse.'));
  if (!isSparse) return undefined;
  if (version !== '0.0' && version !== '0.1') throw brokenTar(`version ${version} of sparse files is not supported`);
  const listed = values.get('GNU.sparse.map');
  const segments = listed === undefined ? sparsePairs : listed === '' ? [] : listed.split(',').map(decimal);
  return { map: { sizeBytes: decimal(real), segments }, readBytes: 0 };
}

/**
 * Returns the number of stored bytes according to `map`. Fails if the map contradicts itself or the size of the file.
 */
export function checkMap({ sizeBytes, segments }: SparseMap, storedBytes: number): void {
  let end = 0;
  let sum = 0;
  for (let i = 0; i < segments.length; i += 2) {
    const [offset = 0, length] = [segments[i], segments[i + 1]];
    if (length === undefined || offset < end) throw brokenTar('the map of a sparse file is out of order');
    end = offset + length;
    sum += length;
  }
  if (end > sizeBytes || sum !== storedBytes) throw brokenTar('the map of a sparse file does not fit its size');
}

async function mapInContent(reader: ByteReader): Promise<{ segments: number[]; readBytes: number }> {
  const numbers: number[] = [];
  let rest = '';
  let readBytes = 0;
  while (numbers.length === 0 || numbers.length < 1 + 2 * (numbers[0] ?? 0)) {
    const block = await reader.read(BLOCK_BYTES);
    if (block.length < BLOCK_BYTES) throw brokenTar('it ends in the map of a sparse file');
    readBytes += BLOCK_BYTES;
    const lines = (rest + block.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) numbers.push(decimal(line));
    if ((numbers[0] ?? 0) > MAX_SEGMENTS || rest.replaceAll('\0', '').length > 20) throw tooManySegments();
  }
  return { segments: numbers.slice(1, 1 + 2 * (numbers[0] ?? 0)), readBytes };
}

function pairsIn(block: Buffer, start: number, count: number): number[] {
  const pairs: number[] = [];
  for (let at = start; at < start + count * 24 && block[at] !== 0; at += 24) {
    const [offset, length] = [numberAt(block, at, 12), numberAt(block, at + 12, 12)];
    // A file that ends with a hole has a last piece without bytes.
    pairs.push(offset, length);
  }
  return pairs;
}

function decimal(digits: string | undefined): number {
  if (digits === undefined || !/^\d+$/.test(digits)) throw brokenTar('the map of a sparse file has no number');
  return inRange(Number(digits));
}

function tooManySegments(): Error {
  return brokenTar(`a sparse file has more than ${MAX_SEGMENTS} pieces`);
}
