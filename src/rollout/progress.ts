import type { RolloutRecord } from '../fleet/index.js';
import { isPaused, isTimed, stageAt, waitsFor, type Rollout } from '../plan/index.js';
import type { RolloutState } from './rollout-status.js';

/** How far a rollout is, for people and for those who follow it. */
export interface Progress {
  readonly state: RolloutState;
  /** From 0; `-1` before the start, the number of stages when everybody is offered the version. */
  readonly stage: number;
  /** Share of the units that may be offered the version, 0 to 100. */
  readonly percent: number;
  /** When the stage began, and when its time is over, on the wall clock. */
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  /** What the stage waits for, as a sentence without its full stop. */
  readonly waitsFor: string | undefined;
}

/** Returns how far a rollout is at `nowMs`, by the clock and by what was noted of it. */
export function progressOf(rollout: Rollout, record: RolloutRecord | undefined, nowMs: number): Progress {
  const stage = stageAt(rollout, record?.stage, nowMs);
  const current = rollout.stages[stage];
  const sinceMs = stage < 0 ? undefined : beginOf(rollout, record, stage);
  const untilMs = sinceMs === undefined || !current ? undefined : sinceMs + current.forMs;
  const waits =
    current && untilMs !== undefined && nowMs >= untilMs
      ? waitsFor(current, record?.tally ?? { installed: 0, failed: 0 })
      : undefined;
  return {
    state: stateOf(rollout, record, stage, waits, nowMs),
    stage,
    percent: stage < 0 ? 0 : (current?.percent ?? 100),
    sinceMs,
    untilMs: current?.until && waits !== undefined ? undefined : untilMs,
    waitsFor: waits,
  };
}

/** Returns whether everybody in the channels of a rollout is offered its version. */
export function isComplete({ stages }: Rollout, { stage, state }: Progress): boolean {
  return stage >= stages.length && state === 'complete';
}

function stateOf(
  rollout: Rollout,
  record: RolloutRecord | undefined,
  stage: number,
  waits: string | undefined,
  nowMs: number,
): RolloutState {
  if (record?.halt) return 'halted';
  if (isPaused(rollout, nowMs)) return 'paused';
  if (stage < 0) return 'scheduled';
  if (stage >= rollout.stages.length) return 'complete';
  return waits === undefined ? 'running' : 'waiting';
}

/** Returns when a stage began. A rollout without a start has no time. */
function beginOf(rollout: Rollout, record: RolloutRecord | undefined, stage: number): number | undefined {
  const { startsMs, stages } = rollout;
  if (startsMs === -Infinity) return undefined;
  if (!isTimed(rollout)) return startsMs + (record?.stage?.sinceMs ?? 0);
  return stages.slice(0, stage).reduce((sum, { forMs }) => sum + forMs, startsMs);
}
