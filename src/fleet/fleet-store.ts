import type { UnitIdentity } from '../identity.js';
import type { UnitState } from './unit-state.js';

/** Returns the new state of a unit, or the same object if nothing changes. `before` is undefined for a new unit. */
export type UnitChange = (before: UnitState | undefined) => UnitState;

/** A unit in a list. */
export interface ListedUnit extends UnitState {
  readonly unit: string;
}

/** Numbers of a product's units. */
export interface UnitCounts {
  readonly units: number;
  /** Units by the version that they run. Units that do not say what they run are not in it. */
  readonly byVersion: ReadonlyMap<string, number>;
}

/**
 * Stores what units say of themselves. It may lose what it holds: then counts begin anew, and units are offered what
 * they would be offered at their first request. This abstract class is also the injection token.
 *
 * @publicApi
 */
export abstract class FleetStore {
  /** Returns the state of a unit, or undefined. A store in this process returns no promise. */
  abstract find(identity: UnitIdentity): UnitState | undefined | Promise<UnitState | undefined>;
  /**
   * Applies `change` to the state of a unit: no other change comes in between. Resolves to the states before and after,
   * when the change is stored, so that it survives the end of the process if the store is on disk.
   */
  abstract update(
    identity: UnitIdentity,
    change: UnitChange,
  ): Promise<{ readonly before: UnitState | undefined; readonly after: UnitState }>;
  /** Removes a unit. Resolves to its state before, or to undefined if there was none, when the change is stored. */
  abstract remove(identity: UnitIdentity): Promise<UnitState | undefined>;
  /**
   * Returns the units of a product in the order of their names, those after the unit `after` if it is given.
   *
   * @param limit maximum number of units, 1 to 10,000
   */
  abstract list(product: string, after: string | undefined, limit: number): Promise<readonly ListedUnit[]>;
  /** Returns the numbers of a product's units. */
  abstract counts(product: string): Promise<UnitCounts>;
  /** Returns the products that have units, at most `limit`. */
  abstract products(limit: number): Promise<readonly string[]>;
  /** Stores what is left, and releases resources. Called when the service ends. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}
