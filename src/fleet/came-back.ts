import { isSameVersion } from '../semver.js';
import type { OfferedRelease } from './said.js';
import { MAX_RETURNS, type UnitState } from './unit-state.js';

/** Returns the state of a unit that has received the last byte of `release`. */
export function afterDownload(state: UnitState, { version, manifestDigest }: OfferedRelease): UnitState {
  const known = state.downloaded?.digest === manifestDigest ? state.downloaded : undefined;
  return {
    ...state,
    downloaded: { version, digest: manifestDigest, returns: known?.returns ?? 0, isPending: true },
  };
}

/**
 * Returns the state of a unit that says what it runs. After a full download, something else than the release means that
 * the unit has not started it, or has gone back: the third time, the release has failed on this unit.
 */
export function afterReturn(state: UnitState, running: string | undefined, nowMs: number): UnitState {
  const { downloaded } = state;
  if (!downloaded || running === undefined) return state;
  const { version, digest, returns, isPending } = downloaded;
  if (isSameVersion(running, version)) return { ...state, downloaded: undefined };
  if (!isPending) return state;
  if (returns + 1 < MAX_RETURNS)
    return { ...state, downloaded: { version, digest, returns: returns + 1, isPending: false } };
  const message = `it came back running ${running} ${MAX_RETURNS} times after it had downloaded ${version} completely`;
  return { ...state, downloaded: undefined, outcome: { outcome: 'failed', version, digest, message, atMs: nowMs } };
}
