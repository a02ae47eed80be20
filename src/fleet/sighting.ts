import { isSameVersion } from '../semver.js';
import type { LastOutcome, UnitState } from './unit-state.js';

/** What a unit has said, and was offered, since its state was last stored. */
export interface Sighting {
  readonly product: string;
  readonly unit: string;
  protocol: string;
  running: string | undefined;
  hardware: string | undefined;
  offered: { readonly version: string; readonly manifestDigest: string } | undefined;
  readonly atMs: number;
}

/**
 * Returns the state of a unit after a sighting. A unit that says that it runs what it was offered has installed it, also
 * if it never reports.
 */
export function applied(
  before: UnitState | undefined,
  sighting: Sighting | undefined,
  protocol: string,
  nowMs: number,
): UnitState {
  const { running, hardware, offered } = sighting ?? {};
  const offer =
    offered && (offered.manifestDigest !== before?.offer?.digest || offered.version !== before.offer.version)
      ? { version: offered.version, digest: offered.manifestDigest, atMs: nowMs }
      : before?.offer;
  const state: UnitState = {
    ...before,
    protocol,
    running: running ?? before?.running,
    hardware: hardware ?? before?.hardware,
    firstSeenMs: before?.firstSeenMs ?? nowMs,
    lastSeenMs: Math.max(nowMs, before?.lastSeenMs ?? 0),
    offer,
  };
  const { offer: known, outcome } = state;
  const isInstalled =
    known &&
    isSameVersion(running, known.version) &&
    !(outcome?.outcome === 'installed' && outcome.digest === known.digest);
  // A unit may have run that version before it was offered again, for example after its tag was moved.
  if (!isInstalled || before?.running === running || before?.offer === undefined) return state;
  return { ...state, outcome: { outcome: 'installed', version: known.version, digest: known.digest, atMs: nowMs } };
}

/** Returns the outcome that a change has added, or undefined. */
export function endOf(before: UnitState | undefined, after: UnitState): LastOutcome | undefined {
  const { outcome } = after;
  if (!outcome || outcome === before?.outcome) return undefined;
  return outcome;
}
