import { hash } from 'node:crypto';

/** 2^48: six bytes, which a double can hold. */
const RANGE = 2 ** 48;
/** A unit asks again and again, and the hash is the largest part of a decision. About 150 bytes each. */
const MAX_RECENT = 20_000;
const recent = new Map<string, number>();

/**
 * Returns where a unit stands in the rollouts of a version, from 0 to below 100: stages with a higher percentage contain
 * it. The same unit is early in one rollout and late in another; attempts and serials of plans do not change it.
 */
export function shareOf(product: string, version: string, unit: string): number {
  const text = `${product}\n${version}\n${unit}`;
  const known = recent.get(text);
  if (known !== undefined) return known;
  // In one call: three times as fast as createHash.
  const share = (Number.parseInt(hash('sha256', text, 'hex').slice(0, 12), 16) / RANGE) * 100;
  if (recent.size >= MAX_RECENT) recent.clear();
  recent.set(text, share);
  return share;
}
