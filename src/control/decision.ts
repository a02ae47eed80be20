import { conditionsOf, type Release } from '../firmware/index.js';
import type { UnitState } from '../fleet/index.js';
import type { Asking, Step } from '../plan/index.js';
import type { Rollouts } from '../rollout/index.js';
import { whyOf, type Why } from './why.js';

/**
 * Decides what a unit is offered, and tells how.
 *
 * @param current the release that everybody is offered, of a product without a plan
 */
export function decided(
  rollouts: Rollouts,
  asked: Asking,
  state: UnitState | undefined,
  current: Release | undefined,
  atMs: number,
): Why {
  const { product } = asked;
  const steps: Step[] = [];
  const tell = (step: Step): void => void steps.push(step);
  const planned = rollouts.planned(product);
  const selection = planned
    ? rollouts.select(planned, asked, state, atMs, tell)
    : rollouts.selectUnplanned(product, current && entryOf(current), asked, state, atMs, tell);
  return whyOf(selection, asked, atMs, planned?.plan.serial, steps);
}

const entryOf = (release: Release): Parameters<Rollouts['selectUnplanned']>[1] => ({
  version: release.version,
  manifestDigest: release.manifestDigest,
  conditions: conditionsOf(release),
});
