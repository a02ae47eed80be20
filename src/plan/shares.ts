import { createHash } from 'node:crypto';

/** 2^48: six bytes, which a double can hold. */
const RANGE = 2 ** 48;

/**
 * Returns where a unit stands in the rollouts of a version, from 0 to below 100: stages with a higher percentage contain
 * it. The same unit is early in one rollout and late in another; attempts and serials of plans do not change it.
 */
export function shareOf(product: string, version: string, unit: string): number {
  const digest = createHash('sha256').update(`${product}\n${version}\n${unit}`).digest();
  return (digest.readUIntBE(0, 6) / RANGE) * 100;
}
