import type { Logger } from '@nestjs/common';
import { backoffMs } from '../backoff.js';
import { explained, type OtaError } from '../errors.js';
import type { DeviceState } from './known-devices.js';

/** Time to wait after a failed refresh. It doubles after each failure. */
const MIN_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;
/**
 * If a repository disappears, the registry may have been restored from an old backup. So the last release is served
 * until the repository has been missing for this time, or for three refresh intervals if that is longer (decision 5).
 */
const WITHDRAWAL_MS = 60_000;

/** Returns the milliseconds to wait after a number of failed refreshes in a row. */
export function refreshBackoffMs(failures: number): number {
  return backoffMs(failures, MIN_BACKOFF_MS, MAX_BACKOFF_MS);
}

/**
 * Returns since when the registry answers that nothing exists, on the clock of `nowMs`. After another failure, the time
 * starts again: a registry that was down for an hour has not answered for an hour.
 *
 * @param before the result for the refresh before; undefined after a successful one
 */
export function absentSince(before: number | undefined, failure: OtaError, nowMs: number): number | undefined {
  return failure.code === 'absent' ? (before ?? nowMs) : undefined;
}

/**
 * Returns whether to withdraw a release: it must not be served any more, or it has been missing for long enough.
 *
 * @param sinceMs the result of `absentSince` for this failure
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

/**
 * Logs a failure. The first one in a row is a warning, the others have level debug, so that an outage of the registry
 * produces one line for each device.
 */
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
