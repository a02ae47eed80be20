import type { ByteReader } from './byte-reader.js';
import { BLOCK_BYTES, brokenTar, inRange, numberAt, type TarHeader } from './tar-header.js';
import type { PaxRecords } from './pax.js';

/** Where in a file the bytes lie that a tar holds of it; all others are zero. */
export interface SparseMap {
  readonly sizeBytes: number;
  /** Offset and length, in turns. */
  readonly segments: readonly number[];
}

/** A file of more pieces is an attack. */
const MAX_SEGMENTS = 100_000;

/**
 * The map in a header of GNU tar's own format (type `S`) and in the blocks behind it, which its size does not count
 * (GNU tar manual, "Old GNU Format").
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
 * The map in PAX records, version 0.0 or 0.1, or at the head of the content, version 1.0 (GNU tar manual, "PAX Format,
 * Versions"); undefined when the records say nothing of one. Returns how many bytes of the content it took.
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

/** The bytes that `map` says are stored; fails when it contradicts itself or them. */
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
    // The end of a file that ends with a hole is a piece without bytes.
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
