import { isSameVersion } from '../semver.js';
import { afterDownload, afterReturn } from './came-back.js';
import type { OfferedRelease } from './said.js';
import type { LastOutcome, UnitState } from './unit-state.js';

/** What a unit has said, and was offered, since its state was last stored. */
export interface Sighting {
  readonly product: string;
  readonly unit: string;
  protocol: string;
  running: string | undefined;
  hardware: string | undefined;
  /** Whether the unit has asked for an update: then `running` is what it runs after its last download. */
  checked: boolean;
  offered: OfferedRelease | undefined;
  /** The release that it has downloaded completely, after all else in this sighting. */
  downloaded: OfferedRelease | undefined;
  readonly atMs: number;
}

/** Returns the state of a unit after a sighting: what it has said, then what it was offered, then what it downloaded. */
export function applied(
  before: UnitState | undefined,
  sighting: Sighting | undefined,
  protocol: string,
  nowMs: number,
): UnitState {
  const { running, hardware, checked, offered, downloaded } = sighting ?? {};
  const said = afterRunning(
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
  const seen = checked ? afterReturn(said, running, nowMs) : said;
  const state = offered ? afterOffer(seen, offered, nowMs) : seen;
  return downloaded ? afterDownload(state, downloaded) : state;
}

function afterOffer(state: UnitState, { version, manifestDigest: digest }: OfferedRelease, atMs: number): UnitState {
  if (digest === state.offer?.digest && version === state.offer.version) return state;
  return { ...state, offer: { version, digest, atMs } };
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
