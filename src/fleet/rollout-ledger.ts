import type { Observable } from 'rxjs';

/** Units of a rollout by how their installs ended. Each unit counts once, by its last outcome of that release. */
export interface Tally {
  readonly offered: number;
  readonly installed: number;
  readonly failed: number;
}

/** What was noted of a rollout. */
export interface RolloutRecord {
  readonly tally: Tally;
  /** The stage that was reached, from 0, and since when, on the wall clock. Undefined if only the clock decides. */
  readonly stage: { readonly index: number; readonly sinceMs: number } | undefined;
  readonly halt: { readonly reason: string; readonly atMs: number } | undefined;
}

/**
 * Counts of rollouts, reached stages and halts. Reading is synchronous, from memory. What is written counts here at once,
 * and for other replicas within a second if the ledger is shared. Stages only rise, and a halt stays until its key is no
 * longer used. This abstract class is also the injection token.
 *
 * @publicApi
 */
export abstract class RolloutLedger {
  /** Returns what was noted of a rollout, or undefined. `key` is `Rollout.key`. */
  abstract find(product: string, key: string): RolloutRecord | undefined;
  /** Adds to the counts of a rollout; numbers may be negative. */
  abstract count(product: string, key: string, change: Partial<Tally>): void;
  /** Notes that a stage was reached. A lower stage than the noted one changes nothing. */
  abstract reach(product: string, key: string, stage: { readonly index: number; readonly sinceMs: number }): void;
  /** Notes that a rollout is halted. The first reason stays. */
  abstract halt(product: string, key: string, halt: { readonly reason: string; readonly atMs: number }): void;
  /**
   * Returns whether one more unit may be offered the version now, and takes that offer from what `rate` allows. Shared
   * ledgers take offers in advance, a second's worth at a time, so this never waits.
   */
  abstract take(product: string, key: string, rate: { readonly offers: number; readonly perMs: number }): boolean;
  /** Returns whether `take` would return true. */
  abstract mayTake(product: string, key: string, rate: { readonly offers: number; readonly perMs: number }): boolean;
  /** Drops the records of a product except those of `keys`: all others, or those `among` these. */
  abstract keep(product: string, keys: ReadonlySet<string>, among?: ReadonlySet<string>): void;
  /** The product whose records were changed by another replica. */
  abstract readonly changes: Observable<string>;
  /** Whether counts and halts are shared with other replicas. */
  abstract readonly isShared: boolean;
  /** Writes what is left, and releases resources. Called when the service ends. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}
