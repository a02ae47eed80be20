import type { LastOutcome, RolloutLedger, Tally, UnitChanged } from '../fleet/index.js';
import type { Rollout } from '../plan/index.js';
import type { PlannedCatalogue } from './rollouts.js';

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
  const was = before?.outcome;
  const is = after?.outcome;
  if (was === is) return false;
  const [from, to] = [was && rolloutOf(catalogue, was)?.key, is && rolloutOf(catalogue, is)?.key];
  if (from === to && partOf(was) === partOf(is)) return false;
  if (from !== undefined && (from === to || is === undefined)) ledger.count(product, from, changeBy(partOf(was), -1));
  if (to !== undefined) ledger.count(product, to, changeBy(partOf(is), 1));
  return from !== undefined || to !== undefined;
}

/** Returns the rollout of a release, by its digest if that is known: a moved tag is another release. */
function rolloutOf(
  { plan, releases }: PlannedCatalogue,
  { digest, version }: Pick<LastOutcome, 'digest' | 'version'>,
): Rollout | undefined {
  const named =
    digest === undefined ? version : releases.find(({ manifestDigest }) => manifestDigest === digest)?.version;
  return named === undefined ? undefined : plan.rolloutOf.get(named);
}

/** A unit that has rejected a release has not installed it. */
function partOf(outcome: LastOutcome | undefined): 'installed' | 'failed' | undefined {
  if (!outcome) return undefined;
  return outcome.outcome === 'installed' ? 'installed' : 'failed';
}

function changeBy(part: 'installed' | 'failed' | undefined, by: number): Partial<Tally> {
  return part === undefined ? {} : { [part]: by };
}
