import type { Catalogue, Servable } from './catalogue.js';
import type { PlannedUnit } from './plan.js';
import type { Standing } from './standing.js';

/** Who asks for a release. */
export interface Asking extends PlannedUnit {
  readonly product: string;
  /** The channel that the unit has named. */
  readonly channel?: string | undefined;
}

/**
 * Why a unit is offered what it is offered, or nothing.
 * - `newest`: there is no plan. `channel`: the highest version of its channel. `stage`: a rollout has reached it.
 *   `pin`: the plan names its version.
 * - Nothing is offered: `up-to-date`: it runs that version. `newer`: it runs a higher one. `failed`: it has failed to
 *   install it. `hardware`, `requires`: the release demands something else. `unavailable`: no release can be served.
 *   `yanked`: the version that the plan names is yanked. `halted`: its rollout is halted. `waiting`: its rollout has not
 *   reached the unit.
 */
export type Reason =
  | 'newest'
  | 'channel'
  | 'stage'
  | 'pin'
  | 'up-to-date'
  | 'newer'
  | 'failed'
  | 'hardware'
  | 'requires'
  | 'unavailable'
  | 'yanked'
  | 'halted'
  | 'waiting';

/** What a unit is offered, and why. */
export interface Selection<R extends Servable = Servable> {
  /** The release to offer. Undefined if nothing is offered. */
  readonly release: R | undefined;
  readonly reason: Reason;
  /** The release that the reason is about: also set if it is not offered. */
  readonly about: R | undefined;
  /** The channel of the unit. Undefined without a plan. */
  readonly channel: string | undefined;
}

/** One step of a decision, for people: what was looked at, and what came of it. */
export interface Step {
  /** What was examined, such as `rollout 1.5.0`. */
  readonly subject: string;
  /** What was found, as a sentence without its full stop. */
  readonly finding: string;
}

/**
 * Selects the release of a unit: a pure function, without I/O, under 20 µs, that never throws. This abstract class is
 * also the injection token.
 *
 * @publicApi
 */
export abstract class Selector {
  /**
   * Returns what the unit is offered at `nowMs`.
   *
   * @param nowMs on the wall clock, in milliseconds since the epoch
   * @param tell called with each step of the decision, for `otaflux why`
   */
  abstract select<R extends Servable>(
    catalogue: Catalogue<R>,
    asking: Asking,
    nowMs: number,
    standing: Standing,
    tell?: (step: Step) => void,
  ): Selection<R>;
}
