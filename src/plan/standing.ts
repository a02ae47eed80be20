import type { Rollout } from './plan.js';

/** How far a rollout is. */
export interface RolloutStanding {
  /** The stage that was reached, from 0. The number of stages if everybody is offered the version. `-1` before its start. */
  readonly stage: number;
  /** Why no further unit is offered the version. Undefined if it is not halted. */
  readonly halted: string | undefined;
  /** Whether `rate` allows another offer to a unit that was not offered the version before. */
  readonly mayOffer: boolean;
}

/**
 * Knows how far rollouts are, without I/O. Rollouts whose stages only depend on the time need nothing but the clock. This
 * abstract class is also the injection token.
 *
 * @publicApi
 */
export abstract class Standings {
  /** @param nowMs on the wall clock */
  abstract of(product: string, rollout: Rollout, nowMs: number): RolloutStanding;
}

/** A release that a unit has failed to install: by its digest, or by its version if that is not known. */
export interface FailedRelease {
  readonly digest?: string | undefined;
  readonly version?: string | undefined;
}

/** What is known of the unit that asks. */
export interface UnitStanding {
  /** Digest of the release that the unit has failed to install or has rejected, and may not try again. */
  readonly failedDigest?: string | undefined;
  /** The version of it, if the digest is not known. */
  readonly failedVersion?: string | undefined;
  /** Further releases that the unit has failed to install or has rejected before, and may not try again. */
  readonly failedBefore?: readonly FailedRelease[] | undefined;
  /** Digest of the release that the unit was offered last: rate and window do not take that back. */
  readonly offeredDigest?: string | undefined;
}

/** All that a selection depends on besides plan, unit and time. */
export interface Standing extends UnitStanding {
  readonly rollouts: Standings;
}
