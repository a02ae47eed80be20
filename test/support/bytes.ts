import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** `size` bytes that look random and are the same for the same seed. */
export function firmwareBytes(size: number, seed = 'firmware'): Buffer {
  const block = createHash('sha512').update(seed).digest();
  const bytes = Buffer.alloc(size);
  for (let at = 0, round = createHash('sha512').update(block).digest(); at < size; at += 64) {
    round.copy(bytes, at);
    if (at % 4096 === 0) round = createHash('sha512').update(round).digest();
  }
  if (size > 0) bytes[0] = 0xe9;
  return bytes;
}

/** The body of `/version` for firmware. */
export function versionBody(version: string, firmware: Buffer): string {
  return `${version}\n${crc32(firmware)}\n${firmware.length}`;
}
