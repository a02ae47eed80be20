import { Clock } from '../../src/clock.js';

/** A wall clock that stands still until it is set. */
export class FakeClock extends Clock {
  constructor(private atMs = Date.UTC(2026, 0, 1)) {
    super();
  }

  override nowMs(): number {
    return this.atMs;
  }

  /** Sets the clock forward, or back. */
  advance(ms: number): void {
    this.atMs += ms;
  }
}
