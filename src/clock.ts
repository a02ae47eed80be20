/**
 * The wall clock, for times that outlive the process or that a person reads. Durations are measured with
 * `performance.now()`. This abstract class is also the injection token, so that tests can set the time.
 *
 * @publicApi
 */
export abstract class Clock {
  /** Returns the time in milliseconds since the epoch. */
  abstract nowMs(): number;
}

/** The clock of the system. */
export class SystemClock extends Clock {
  override nowMs(): number {
    return Date.now();
  }
}
