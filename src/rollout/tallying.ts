import {
  endingsOf,
  type Ending,
  type RolloutLedger,
  type Tally,
  type UnitChanged,
  type UnitState,
} from '../fleet/index.js';
import type { Rollout } from '../plan/index.js';
import type { PlannedCatalogue } from './rollouts.js';

type Part = 'installed' | 'failed';

/**
 * Adds a change of a unit to the counts of rollouts. Each unit counts once for a release, by its last outcome: a unit that
 * failed and then installed it has installed it. A retry forgets that it failed. Returns whether outcomes were counted.
 */
export function tally(ledger: RolloutLedger, catalogue: PlannedCatalogue, change: UnitChanged): boolean {
  const { product, before, after } = change;
  const offer = after?.offer;
  if (offer && offer.digest !== before?.offer?.digest) {
    const rollout = rolloutOf(catalogue, offer);
    if (rollout) ledger.count(product, rollout.key, { offered: 1 });
  }
  if (before?.outcome === after?.outcome && before?.earlier === after?.earlier) return false;
  const [from, to] = [endsIn(catalogue, before), endsIn(catalogue, after)];
  let isCounted = false;
  for (const key of new Set([...from.keys(), ...to.keys()])) {
    const [was, is] = [from.get(key), to.get(key)];
    // What a newer outcome has displaced, because it was the oldest, stays counted.
    if (was === is || (is === undefined && after?.outcome !== undefined)) continue;
    ledger.count(product, key, { ...changeBy(was, -1), ...changeBy(is, 1) });
    isCounted = true;
  }
  return isCounted;
}

/** Returns the rollout of a release, by its digest if that is known: a moved tag is another release. */
function rolloutOf(
  { plan, releases }: PlannedCatalogue,
  { digest, version }: Pick<Ending, 'digest' | 'version'>,
): Rollout | undefined {
  const named =
    digest === undefined ? version : releases.find(({ manifestDigest }) => manifestDigest === digest)?.version;
  return named === undefined ? undefined : plan.rolloutOf.get(named);
}

/** Returns how the installs of a unit ended, by the key of the rollout. A unit that has rejected a release has failed. */
function endsIn(catalogue: PlannedCatalogue, state: UnitState | undefined): Map<string, Part> {
  const parts = new Map<string, Part>();
  for (const ending of endingsOf(state)) {
    const key = rolloutOf(catalogue, ending)?.key;
    if (key !== undefined && !parts.has(key)) parts.set(key, ending.hasFailed ? 'failed' : 'installed');
  }
  return parts;
}

function changeBy(part: Part | undefined, by: number): Partial<Tally> {
  return part === undefined ? {} : { [part]: by };
}
