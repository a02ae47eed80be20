import { createHash } from 'node:crypto';
import type { Checksum } from '../config/index.js';
import { ESP_IMAGE_BYTES, ESP_MAGIC, espImageIn, type EspImage } from '../esp-image.js';
import { runningCrc } from './crc.js';

/**
 * Size and digests of firmware, computed from all of its bytes. CRCs are unsigned numbers, the digests are lower-case
 * hex.
 */
export interface Firmware {
  readonly sizeBytes: number;
  readonly crc32: number;
  /** The CRC that CHECKSUM selects. By default the same as `crc32`. */
  readonly checksum: number;
  readonly md5: string;
  readonly sha1: string;
  readonly sha256: string;
  /** What its header says, if it is an image for a chip of Espressif. */
  readonly esp?: EspImage;
}

/** Computes size, CRCs and digests of firmware in one pass. */
export class FirmwareDigester {
  private readonly md5 = createHash('md5');
  private readonly sha1 = createHash('sha1');
  private readonly sha256 = createHash('sha256');
  private readonly nextCrc32 = runningCrc('crc32');
  private readonly nextChecksum;
  private crc32: number | undefined;
  private checksum: number | undefined;
  private sizeBytes = 0;
  /** The beginning, as far as it may be the header of an ESP image. */
  private head: Buffer | undefined = Buffer.alloc(0);

  constructor(checksum: Checksum) {
    this.nextChecksum = checksum === 'crc32' ? undefined : runningCrc(checksum);
  }

  update(piece: Buffer): void {
    if (this.head && this.head.length < ESP_IMAGE_BYTES) this.head = headOf(this.head, piece);
    this.sizeBytes += piece.length;
    this.crc32 = this.nextCrc32(piece, this.crc32);
    if (this.nextChecksum) this.checksum = this.nextChecksum(piece, this.checksum);
    this.md5.update(piece);
    this.sha1.update(piece);
    this.sha256.update(piece);
  }

  finish(): Firmware {
    if (this.crc32 === undefined) this.update(Buffer.alloc(0));
    const crc32 = (this.crc32 ?? 0) >>> 0;
    const esp = this.head && espImageIn(this.head);
    return {
      sizeBytes: this.sizeBytes,
      crc32,
      checksum: this.nextChecksum ? (this.checksum ?? 0) >>> 0 : crc32,
      md5: this.md5.digest('hex'),
      sha1: this.sha1.digest('hex'),
      sha256: this.sha256.digest('hex'),
      ...(esp && { esp }),
    };
  }
}

/** Returns the beginning of a file so far, or undefined if it is no ESP image. */
function headOf(head: Buffer, piece: Buffer): Buffer | undefined {
  const next = Buffer.concat([head, piece.subarray(0, ESP_IMAGE_BYTES - head.length)]);
  return next.length === 0 || next[0] === ESP_MAGIC ? next : undefined;
}
