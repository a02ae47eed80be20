/** A request that is about to be sent again. */
export interface Retry {
  readonly host: string;
  /** What was wrong with the try before. */
  readonly reason: string;
  /** From 1. */
  readonly retry: number;
  /** How many retries there are at most. */
  readonly of: number;
}

/** Called before each retry, for those who wait in front of a terminal. */
export type OnRetry = (retry: Retry) => void;
