import { createHash } from 'node:crypto';

/** Where a unit stands in the rollouts of a version, from 0 to 100, as docs/rollout-maths.md says it. */
export function positionOf(product: string, version: string, unit: string): number {
  const hex = createHash('sha256').update(`${product}\n${version}\n${unit}`, 'utf8').digest('hex').slice(0, 12);
  return Number((BigInt(`0x${hex}`) * 100_000_000n) >> 48n) / 1_000_000;
}

/** The time of the day in a zone: `01:30`. Undefined for a zone that there is not. */
export function localTime(ms: number, timeZone: string | undefined): string | undefined {
  try {
    return timeZone === undefined
      ? undefined
      : new Date(ms).toLocaleTimeString('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' });
  } catch {
    return undefined;
  }
}
