import type { Identity } from '../identity.js';

export type { Identity };

/** What a client asks for, and what it says of itself. Nothing of it is verified, except by an authenticator. */
export interface Ask extends Identity {
  /** The version that the unit runs. */
  readonly running?: string | undefined;
  /** The hardware of the unit, such as the model of its board. */
  readonly hardware?: string | undefined;
  /** The channel that the unit wants updates of. */
  readonly channel?: string | undefined;
}
