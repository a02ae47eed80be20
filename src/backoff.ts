/**
 * Returns the milliseconds to wait after a number of failures in a row: `minMs` after the first, then twice as long
 * each time, up to `maxMs`. Up to a quarter is subtracted at random, so that clients that failed together do not return
 * together.
 */
export function backoffMs(failures: number, minMs: number, maxMs: number): number {
  return Math.min(minMs * 2 ** Math.min(failures - 1, 20), maxMs) * (1 - Math.random() / 4);
}
