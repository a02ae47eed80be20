import { hash } from 'node:crypto';
import { RecentUnits } from './recent-units.js';

/** 2^48: six bytes, which a double can hold. */
const RANGE = 2 ** 48;
/** A unit asks again and again, and the hash is the largest part of a decision. About 100 bytes each. */
const MAX_RECENT = 20_000;
const recent = new RecentUnits<number>(MAX_RECENT);

/**
 * Returns where a unit stands in the rollouts of a version, from 0 to below 100: stages with a higher percentage contain
 * it. The same unit is early in one rollout and late in another; attempts and serials of plans do not change it.
 */
export function shareOf(product: string, version: string, unit: string): number {
  const known = recent.get(version, product, unit);
  if (known !== undefined) return known;
  // In one call: three times as fast as createHash.
  const digest = hash('sha256', `${product}\n${version}\n${unit}`, 'hex');
  const share = (Number.parseInt(digest.slice(0, 12), 16) / RANGE) * 100;
  recent.set(version, product, unit, share);
  return share;
}
