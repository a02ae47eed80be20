import type { Identity } from '../identity.js';
import type { Outcome, UnitState } from './unit-state.js';

/** What a unit says of itself with a request. */
export interface Said extends Identity {
  readonly running?: string | undefined;
  readonly hardware?: string | undefined;
}

/** A release, as far as the fleet knows it. */
export interface OfferedRelease {
  readonly version: string;
  readonly manifestDigest: string;
}

/** How an update ended, as a unit reports it. */
export interface Report {
  readonly outcome?: Outcome | undefined;
  /** The version that the report is about. Default: the version that the unit was offered. */
  readonly version?: string | undefined;
  /** The version that the unit runs now. Default: `version`, if it was installed. */
  readonly running?: string | undefined;
  readonly hardware?: string | undefined;
  readonly message?: string | undefined;
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  /** Replaces what the protocol remembers of the unit. */
  readonly notes?: UnitState['notes'];
}
