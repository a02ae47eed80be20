/** A request that is about to be sent again. */
export interface Retry {
  readonly host: string;
  /** Why the previous try failed. */
  readonly reason: string;
  /** Number of the retry, from 1. */
  readonly retry: number;
  /** Maximum number of retries. */
  readonly of: number;
}

/** Called before each retry, to inform a person at a terminal. */
export type OnRetry = (retry: Retry) => void;
