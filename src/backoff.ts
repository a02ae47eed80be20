/**
 * Milliseconds to wait after so many failures in a row: `minMs` after the first, doubled each time up to `maxMs`, with
 * up to a quarter taken off, so that those who fail together do not come back together.
 */
export function backoffMs(failures: number, minMs: number, maxMs: number): number {
  return Math.min(minMs * 2 ** Math.min(failures - 1, 20), maxMs) * (1 - Math.random() / 4);
}
