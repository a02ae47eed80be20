/**
 * What happened to a rollout. `stage`: it has reached a stage, so that a larger share of units is offered the version.
 * `complete`: everybody is. `waiting`: the time of its stage is over, but not enough units have reported. `halted`: no further
 * unit is offered the version. `resumed`: it goes on after a halt or a pause. `paused`: nothing new is offered. `ended`: the
 * plan does not contain it any more, or its version was yanked.
 */
export type RolloutEventKind = 'stage' | 'complete' | 'waiting' | 'halted' | 'resumed' | 'paused' | 'ended';

/** The line of the log for each event of a rollout. */
export const LOG_LINES: Readonly<Record<RolloutEventKind, { readonly event: string }>> = {
  stage: { event: 'rollout.stage' },
  complete: { event: 'rollout.complete' },
  waiting: { event: 'rollout.waiting' },
  halted: { event: 'rollout.halted' },
  resumed: { event: 'rollout.resumed' },
  paused: { event: 'rollout.paused' },
  ended: { event: 'rollout.ended' },
};

/** An event of one rollout. */
export interface RolloutEvent {
  readonly kind: RolloutEventKind;
  readonly product: string;
  readonly version: string;
  readonly channels: readonly string[];
  /** Share of the units that are offered the version now, 0 to 100. */
  readonly percent: number;
  /** Why it is halted, or what it waits for. */
  readonly reason?: string | undefined;
}
