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

/** Returns the state of a unit after a sighting: what it has said, and then what it was offered. */
export function applied(
  before: UnitState | undefined,
  sighting: Sighting | undefined,
  protocol: string,
  nowMs: number,
): UnitState {
  const { running, hardware, offered } = sighting ?? {};
  const state = afterRunning(
    {
      ...before,
      protocol,
      hardware: hardware ?? before?.hardware,
      firstSeenMs: before?.firstSeenMs ?? nowMs,
      lastSeenMs: Math.max(nowMs, before?.lastSeenMs ?? 0),
    },
    running,
    nowMs,
  );
  if (!offered || (offered.manifestDigest === state.offer?.digest && offered.version === state.offer.version))
    return state;
  return { ...state, offer: { version: offered.version, digest: offered.manifestDigest, atMs: nowMs } };
}

/**
 * Returns the state of a unit that says what it runs. If that is what it was offered, it has installed it, also if it
 * never reports.
 */
export function afterRunning(state: UnitState, running: string | undefined, nowMs: number): UnitState {
  if (running === undefined) return state;
  const { offer, outcome } = state;
  const isKnown = running === state.running || (outcome?.outcome === 'installed' && outcome.digest === offer?.digest);
  const after = { ...state, running };
  // A unit may have run that version before it was offered again, for example after its tag was moved.
  if (isKnown || !offer || !isSameVersion(running, offer.version)) return after;
  return { ...after, outcome: { outcome: 'installed', version: offer.version, digest: offer.digest, atMs: nowMs } };
}

/** Returns the outcome that a change has added, or undefined. A message that is added to an outcome is no new one. */
export function endOf(before: UnitState | undefined, after: UnitState): LastOutcome | undefined {
  const { outcome } = after;
  const known = before?.outcome;
  if (!outcome || outcome === known) return undefined;
  const isSame = outcome.outcome === known?.outcome && outcome.digest === known.digest && outcome.atMs === known.atMs;
  return isSame ? undefined : outcome;
}
