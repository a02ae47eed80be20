import pLimit from 'p-limit';
import { OtaError } from '../errors.js';

/** Work under way at once, and waiting for its turn; beyond that it is refused. */
const MAX_RUNNING = 64;
const MAX_WAITING = 5_000;

/** Work by key that many ask for and that is done once at a time; bounded, so that made-up keys cannot pile up. */
export class SingleFlight<T> {
  private readonly pending = new Map<string, Promise<T>>();
  private readonly limit = pLimit(MAX_RUNNING);

  has(key: string): boolean {
    return this.pending.has(key);
  }

  /** The work under way for `key`, if there is any. */
  running(key: string): Promise<T> | undefined {
    return this.pending.get(key);
  }

  /** The outcome of the work under way for `key`, or of `work`. Rejects with OtaError `unavailable` when too much is waiting. */
  run(key: string, work: () => Promise<T>): Promise<T> {
    const known = this.pending.get(key);
    if (known) return known;
    if (this.limit.pendingCount >= MAX_WAITING)
      return Promise.reject(new OtaError('unavailable', 'too many devices at once are not known yet'));
    const started = this.limit(work).finally(() => this.pending.delete(key));
    this.pending.set(key, started);
    return started;
  }
}
