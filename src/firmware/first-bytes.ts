import type { Lease } from '../cache/index.js';

/** Returns the first bytes of stored firmware: `length`, or all if there are fewer. Releases the lease. */
export async function firstBytes(lease: Lease, length: number, sizeBytes: number): Promise<Buffer> {
  try {
    const wanted = Math.min(length, sizeBytes);
    if (lease.bytes) return Buffer.from(lease.bytes.subarray(0, wanted));
    if (wanted === 0) return Buffer.alloc(0);
    const pieces: Buffer[] = [];
    for await (const piece of lease.read(0, wanted - 1) as AsyncIterable<Buffer>) pieces.push(piece);
    return Buffer.concat(pieces);
  } finally {
    lease.release();
  }
}
