import { OtaError } from '../../errors.js';

export const BLOCK_BYTES = 512;

/** One header block (POSIX.1-1988 ustar, and the variants of GNU tar and star). */
export interface TarHeader {
  /** The type flag: `0` a file, `1` a hard link, `2` a symbolic link, `5` a folder, `S` a sparse file of GNU tar, … */
  readonly type: string;
  readonly path: string;
  readonly linkpath: string;
  /** Number of bytes after the header. */
  readonly sizeBytes: number;
  readonly block: Buffer;
}

/** Returns whether a block is a tar header, by its checksum. Magic numbers differ between tars. */
export function isTarHeader(block: Buffer): boolean {
  if (block.length < BLOCK_BYTES) return false;
  const stated = parseInt(block.toString('latin1', 148, 156), 8);
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK_BYTES; i++) if (i < 148 || i >= 156) sum += block[i] ?? 0;
  return sum === stated;
}

export function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}

/** @throws OtaError `protocol` if the block is not a header, or states an impossible size */
export function parseHeader(block: Buffer): TarHeader {
  if (!isTarHeader(block)) throw brokenTar('the checksum of a header is wrong');
  const name = text(block, 0, 100);
  const prefix = prefixOf(block);
  return {
    type: block.toString('latin1', 156, 157).replace('\0', '0'),
    path: prefix ? `${prefix}/${name}` : name,
    linkpath: text(block, 157, 257),
    sizeBytes: numberAt(block, 124, 12),
    block,
  };
}

/** Parses a number in octal digits, or in base 256 if it is too large for them. */
export function numberAt(block: Buffer, start: number, length: number): number {
  const first = block[start] ?? 0;
  if (first & 0x80) {
    let value = first & 0x7f;
    for (let i = start + 1; i < start + length; i++) value = value * 256 + (block[i] ?? 0);
    return inRange(first & 0x40 ? -1 : value);
  }
  const digits = block
    .toString('latin1', start, start + length)
    .replaceAll(/[\0 ]+/g, ' ')
    .trim();
  if (digits !== '' && !/^[0-7]+$/.test(digits)) throw brokenTar('a header has a number that cannot be read');
  return inRange(digits === '' ? 0 : parseInt(digits, 8));
}

export function inRange(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw brokenTar('a header has an impossible size');
  return value;
}

export function brokenTar(why: string): OtaError {
  return new OtaError(
    'protocol',
    `the tar in the layer is damaged: ${why}. Create it again with GNU tar or bsdtar, and push it`,
  );
}

/** Returns the prefix of the name. Only ustar has one. GNU tar stores times there, and star has a shorter prefix. */
function prefixOf(block: Buffer): string {
  if (block.toString('latin1', 257, 263) !== 'ustar\0') return '';
  return text(block, 345, block.toString('latin1', 508, 512) === 'tar\0' ? 476 : 500);
}

function text(block: Buffer, start: number, end: number): string {
  const zero = block.indexOf(0, start);
  return block.toString('utf8', start, zero === -1 || zero > end ? end : zero);
}
