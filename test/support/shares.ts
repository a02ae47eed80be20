import { shareOf } from '../../src/plan/index.js';

/** Returns names of units that stand between `from` and `to` percent of the rollouts of a version. */
export function unitsBetween(product: string, version: string, from: number, to: number, count = 1): string[] {
  const units: string[] = [];
  for (let i = 0; units.length < count; i++) {
    const unit = `unit-${i}`;
    const share = shareOf(product, version, unit);
    if (share >= from && share < to) units.push(unit);
  }
  return units;
}
