import { stageAt, Standings, type Rollout, type RolloutStanding } from '../plan/index.js';

/** How far rollouts are, if nothing is counted: by the clock, without halts and rates. */
export class ClockStandings extends Standings {
  override of(_product: string, rollout: Rollout, nowMs: number): RolloutStanding {
    return { stage: stageAt(rollout, undefined, nowMs), halted: undefined, mayOffer: true };
  }
}
