import crc16 from 'crc/crc16';
import crc16ccitt from 'crc/crc16ccitt';
import crc16kermit from 'crc/crc16kermit';
import crc16modbus from 'crc/crc16modbus';
import crc16xmodem from 'crc/crc16xmodem';
import crc24 from 'crc/crc24';
import crc32 from 'crc/crc32';
import crc32mpeg2 from 'crc/crc32mpeg2';
import crc8 from 'crc/crc8';
import crc81wire from 'crc/crc81wire';
import crc8dvbs2 from 'crc/crc8dvbs2';
import crcjam from 'crc/crcjam';
import * as zlib from 'node:zlib';
import type { Checksum } from '../config/index.js';

/**
 * Computes a CRC piece by piece: takes a piece and the value so far (undefined for the first piece), returns the next
 * value.
 */
export type RunningCrc = (piece: Buffer, previous: number | undefined) => number;

/** CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), which the crc package does not have. */
const CASTAGNOLI = Uint32Array.from({ length: 256 }, (_value, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

function crc32c(piece: Buffer, previous = 0): number {
  let crc = ~previous;
  for (const byte of piece) crc = (CASTAGNOLI[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The native function of zlib is about twenty times as fast. It exists since Node 20.15 and 22.2. */
const nativeCrc32: RunningCrc | undefined =
  'crc32' in zlib ? (piece, previous = 0) => zlib.crc32(piece, previous) : undefined;

const CRCS: Record<Checksum, RunningCrc> = {
  crc32: nativeCrc32 ?? crc32,
  crc32c,
  crc32mpeg2,
  crcjam,
  crc24,
  crc16,
  crc16ccitt,
  crc16kermit,
  crc16modbus,
  crc16xmodem,
  crc8,
  crc81wire,
  crc8dvbs2,
};

export function runningCrc(checksum: Checksum): RunningCrc {
  return CRCS[checksum];
}
