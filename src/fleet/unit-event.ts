import type { UnitIdentity } from '../identity.js';
import type { LastOutcome, Outcome, UnitState } from './unit-state.js';

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
  /** Digest of the manifest of that release, if it is known which one it is. */
  readonly digest?: string | undefined;
  /** What the unit has said about a failure. */
  readonly message?: string | undefined;
  /** For `installed`, `failed` and `rejected`: how the last update of the unit ended before. Undefined: it had none. */
  readonly before?: Pick<LastOutcome, 'outcome' | 'version' | 'digest'> | undefined;
  /** On the wall clock, in milliseconds since the epoch. */
  readonly atMs: number;
}

/**
 * A change of a unit that was stored. Each change is told once, also if several replicas share a store. `before` is
 * undefined for a new unit, `after` for one that was removed.
 */
export interface UnitChanged extends UnitIdentity {
  readonly before: UnitState | undefined;
  readonly after: UnitState | undefined;
}
