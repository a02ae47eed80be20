/** The plan of a product in the response of `GET /status`. Times are in ISO 8601. */
export interface PlanStatus {
  readonly product: string;
  /** Null if there is no plan that could be taken: then nothing is offered. */
  readonly serial: number | null;
  /** Digest of the manifest of the plan. */
  readonly digest: string | null;
  /** Why a newer plan in the registry is not taken. The plan before goes on. */
  readonly rejected: { readonly reason: string; readonly digest: string | null } | null;
  /** Whether counts and halts are shared between replicas. Otherwise each replica counts for itself. */
  readonly shared: boolean;
  readonly rollouts: readonly RolloutStatus[];
}

/**
 * `scheduled`: it starts later. `running`: its stages go on. `waiting`: the time of its stage is over, but not enough units
 * have reported. `complete`: everybody in its channels is offered the version.
 */
export type RolloutState = 'scheduled' | 'running' | 'waiting' | 'paused' | 'halted' | 'complete';

/** A rollout in the response of `GET /status`. */
export interface RolloutStatus {
  readonly version: string;
  /** 1, or how often it was begun after a halt. */
  readonly attempt: number;
  readonly channels: readonly string[];
  readonly state: RolloutState;
  /** The stage that was reached, from 1. 0 before the start; one more than `stages` when it is complete. */
  readonly stage: number;
  readonly stages: number;
  /** Share of the units that are offered the version, 0 to 100. */
  readonly percent: number;
  /** Since when it is in this stage. Null before the start, and for a rollout without stages. */
  readonly since: string | null;
  /** When the time of this stage ends. Null if no time ends it. */
  readonly until: string | null;
  /** What a stage waits for, as a sentence. */
  readonly waitsFor: string | null;
  /** Since when it is paused; `true` if the plan does not say since when. */
  readonly paused: string | boolean;
  readonly halted: { readonly reason: string; readonly at: string } | null;
  /** Units that were offered the version, that have installed it, and that have failed to. */
  readonly offered: number;
  readonly installed: number;
  readonly failed: number;
}
