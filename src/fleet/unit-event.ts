import type { UnitIdentity } from '../identity.js';
import type { Outcome } from './unit-state.js';

/**
 * What happened to a unit. `checked`: it has asked whether there is an update. `withheld`: it must not get the current
 * release; `message` says why.
 */
export type UnitEventKind = 'checked' | 'offered' | 'withheld' | 'downloading' | Outcome;

/** An event of one unit. */
export interface UnitEvent extends UnitIdentity {
  readonly kind: UnitEventKind;
  /** The protocol of the request, such as `ddi`. */
  readonly protocol: string;
  /** The version that was offered, downloaded or reported. For `checked`: the version that the unit runs. */
  readonly version?: string | undefined;
  /** What the unit has said about a failure. */
  readonly message?: string | undefined;
  /** On the wall clock, in milliseconds since the epoch. */
  readonly atMs: number;
}
