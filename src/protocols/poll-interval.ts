/** Time between two requests of a unit for an update. */
const POLL_INTERVAL_MS = 5 * 60_000;
/** Part of the interval by which it varies, so that units that started together do not ask together. */
const JITTER = 0.1;

/** Returns the time after which a unit should ask again, in whole seconds: the interval, 10 % more or less. */
export function pollIntervalSeconds(): number {
  const factor = 1 - JITTER + 2 * JITTER * Math.random();
  return Math.max(1, Math.round((POLL_INTERVAL_MS * factor) / 1000));
}
