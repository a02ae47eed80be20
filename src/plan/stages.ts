import type { Rollout, Stage, Threshold } from './plan.js';

/** The stage that a rollout has reached. */
export interface ReachedStage {
  /** From 0; the number of stages if everybody is offered the version. */
  readonly index: number;
  /**
   * Since when, in milliseconds since the start of the rollout, so that a rollout whose `starts` is shifted by the time that
   * it was paused goes on where it stood.
   */
  readonly sinceMs: number;
}

/** Outcomes of the installs of a rollout. */
export interface Outcomes {
  readonly installed: number;
  readonly failed: number;
}

const NONE: Outcomes = { installed: 0, failed: 0 };

/** Returns whether only the clock decides how far a rollout is: none of its stages waits for reports. */
export function isTimed(rollout: Rollout): boolean {
  for (const { until } of rollout.stages) if (until !== undefined) return false;
  return true;
}

/** Returns whether new offers are paused. */
export function isPaused(rollout: Rollout, nowMs: number): boolean {
  return nowMs >= rollout.pausedAtMs;
}

/**
 * Returns the stage of a rollout: `-1` before its start, the number of stages when everybody is offered the version. Stages
 * that wait for reports only end when `advance` says so, and that was noted.
 */
export function stageAt(rollout: Rollout, noted: ReachedStage | undefined, nowMs: number): number {
  const elapsed = clockOf(rollout, nowMs);
  if (elapsed < 0) return -1;
  if (rollout.stages.length === 0) return 0;
  if (isTimed(rollout)) return timedIndex(rollout, elapsed);
  const index = noted?.index ?? reached(rollout, undefined, NONE, nowMs).index;
  return Math.min(Math.max(index, 0), rollout.stages.length);
}

/**
 * Returns the stage that a rollout has reached with these reports, to be noted, or undefined if that is the noted one. It
 * never returns a lower one.
 */
export function advance(
  rollout: Rollout,
  noted: ReachedStage | undefined,
  tally: Outcomes,
  nowMs: number,
): ReachedStage | undefined {
  if (isTimed(rollout) || clockOf(rollout, nowMs) < 0) return undefined;
  const next = reached(rollout, noted, tally, nowMs);
  return noted !== undefined && next.index <= noted.index ? undefined : next;
}

/** Returns why a rollout must halt, as a sentence without its full stop, or undefined. */
export function haltReason(rollout: Rollout, tally: Outcomes): string | undefined {
  const { halt } = rollout;
  const finished = tally.installed + tally.failed;
  if (!halt || finished < halt.least || tally.failed / finished <= halt.share) return undefined;
  return `${tally.failed} of ${finished} installs failed (${percentText(tally.failed / finished)}), the limit is ${percentText(halt.share)}`;
}

/** Returns what a stage still waits for, as a sentence without its full stop, or undefined if it may end. */
export function waitsFor({ until }: Stage, tally: Outcomes): string | undefined {
  if (!until || isMet(until, tally)) return undefined;
  const finished = tally.installed + tally.failed;
  if (finished < until.least)
    return `it waits for reports: ${finished} of at least ${until.least} units have reported how their install ended`;
  return `it waits for successful installs: ${tally.installed} of ${finished} succeeded (${percentText(tally.installed / finished)}), expected at least ${percentText(until.share)}`;
}

/** A share as people write it: `5%`, `0.3%`. */
export function percentText(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`;
}

function reached(rollout: Rollout, noted: ReachedStage | undefined, tally: Outcomes, nowMs: number): ReachedStage {
  const elapsed = clockOf(rollout, nowMs);
  let { index, sinceMs } = noted ?? firstStage(rollout);
  for (let stage = rollout.stages[index]; stage; stage = rollout.stages[index]) {
    if (elapsed - sinceMs < stage.forMs) break;
    if (stage.until) {
      if (!isMet(stage.until, tally)) break;
      // The next stage begins with the look that found this one over.
      sinceMs = elapsed;
    } else sinceMs += stage.forMs;
    index++;
  }
  return { index, sinceMs };
}

/** The stage that a rollout has reached by the clock alone. Called for each decision, so it creates nothing. */
function timedIndex({ stages, reached: first }: Rollout, elapsed: number): number {
  let endMs = 0;
  let index = 0;
  for (const { forMs } of stages) {
    endMs += forMs;
    // A stage that was reached before a halt is not waited for again.
    if (index >= first && elapsed < endMs) break;
    index++;
  }
  return index;
}

/** The stage that a rollout begins with: after a halt, the one that was reached before. */
function firstStage({ stages, reached: index }: Rollout): ReachedStage {
  return { index, sinceMs: stages.slice(0, index).reduce((sum, { forMs }) => sum + forMs, 0) };
}

/** Milliseconds since the start, without the time since a pause. */
function clockOf(rollout: Rollout, nowMs: number): number {
  if (rollout.startsMs === -Infinity) return Infinity;
  const { pausedAtMs } = rollout;
  return (pausedAtMs === -Infinity ? nowMs : Math.min(nowMs, pausedAtMs)) - rollout.startsMs;
}

function isMet(until: Threshold, { installed, failed }: Outcomes): boolean {
  const finished = installed + failed;
  return finished >= until.least && (finished === 0 || installed / finished >= until.share);
}
