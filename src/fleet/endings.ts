import { MAX_EARLIER, type Ending, type LastOutcome, type UnitState } from './unit-state.js';

/** Returns the last outcome of a unit for each release, the latest first. */
export function endingsOf(state: UnitState | undefined): readonly Ending[] {
  const { outcome, earlier = [] } = state ?? {};
  return outcome ? [endingOf(outcome), ...earlier] : earlier;
}

/** Returns `after` with the outcome that it has replaced, so that a release that has failed before another one stays failed. */
export function withEarlier(before: UnitState | undefined, after: UnitState): UnitState {
  const { outcome, earlier } = after;
  const replaced = before?.outcome;
  if (!outcome || outcome === replaced || after === before) return after;
  const last = endingOf(outcome);
  const others = [...(replaced ? [endingOf(replaced)] : []), ...(earlier ?? [])].filter((one) => !isSame(one, last));
  if (others.length === 0 && earlier === undefined) return after;
  return { ...after, earlier: others.length === 0 ? undefined : others.slice(0, MAX_EARLIER) };
}

/** Returns what is left of earlier outcomes when a unit may try again what it has failed to install. */
export function withoutFailures(state: UnitState | undefined): readonly Ending[] | undefined {
  const left = state?.earlier?.filter(({ hasFailed }) => !hasFailed) ?? [];
  return left.length === 0 ? undefined : left;
}

/** Returns whether the update of a unit to this release has failed, or was rejected, and it was not told to try again. */
export function hasFailedToInstall(
  state: UnitState | undefined,
  { version, manifestDigest }: { readonly version: string; readonly manifestDigest: string },
): boolean {
  return endingsOf(state).some(
    ({ hasFailed, digest, version: named }) =>
      hasFailed && (digest === undefined ? named === version : digest === manifestDigest),
  );
}

function endingOf({ outcome, version, digest }: LastOutcome): Ending {
  return { version, digest, hasFailed: outcome !== 'installed' };
}

function isSame(a: Ending, b: Ending): boolean {
  return a.digest === undefined || b.digest === undefined ? a.version === b.version : a.digest === b.digest;
}
