import type { Logger } from '@nestjs/common';
import { backoffMs } from '../backoff.js';
import { explained, type OtaError } from '../errors.js';
import type { DeviceState } from './known-devices.js';

/** Waits between refreshes that fail, doubled each time. */
const MIN_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;
/**
 * A repository that vanishes as a whole may be a registry restored from yesterday: what is known is served on until
 * it has been missing this long, or three refresh intervals if that is longer (decision 5).
 */
const WITHDRAWAL_MS = 60_000;

/** Milliseconds to wait after so many failed refreshes in a row. */
export function refreshBackoffMs(failures: number): number {
  return backoffMs(failures, MIN_BACKOFF_MS, MAX_BACKOFF_MS);
}

/**
 * Returns since when the registry says that nothing is there, on the clock of `nowMs`. A failure in between begins it anew: a
 * registry that was down for an hour has not said so for an hour.
 *
 * @param before what this returned for the refresh before, undefined after a good one
 */
export function absentSince(before: number | undefined, failure: OtaError, nowMs: number): number | undefined {
  return failure.code === 'absent' ? (before ?? nowMs) : undefined;
}

/**
 * Whether a known release is to be forgotten: nobody may serve it, or it has not been there for long enough.
 *
 * @param sinceMs what `absentSince` returned for this failure
 */
export function isWithdrawn(
  failure: OtaError,
  sinceMs: number | undefined,
  nowMs: number,
  intervalMs: number,
): boolean {
  if (failure.code === 'untrusted') return true;
  return sinceMs !== undefined && nowMs - sinceMs >= Math.max(WITHDRAWAL_MS, 3 * intervalMs);
}

/** The first failure of a row is a warning, what follows is detail: a registry that is down says so once a device. */
export function reportFailure(logger: Logger, state: DeviceState, failure: OtaError): void {
  const line = {
    event: 'refresh.failed',
    device: state.device,
    code: failure.code,
    ...explained(failure),
    serving: state.release?.version,
  };
  if (state.failure?.code === failure.code || (failure.code === 'absent' && !state.release)) logger.debug(line);
  else logger.warn(line);
}
