/** Keys in one generation: more than a fleet has, fewer than an attacker could fill the memory with. */
const MAX_KEYS = 200_000;

/**
 * Allows a number of requests per second for each key, and a burst, by the generic cell rate algorithm (ITU-T I.371).
 * It stores one number for each key: the time at which its bucket will be full again. A key without requests is dropped
 * after the time that a bucket takes to fill.
 */
export class RateLimiter {
  private young = new Map<string, number>();
  private old = new Map<string, number>();
  private turnsAtMs = 0;
  private readonly spacingMs: number;
  private readonly burstMs: number;

  /** @param perSecond above 0 @param burst at least 1 */
  constructor(perSecond: number, burst: number) {
    this.spacingMs = 1000 / perSecond;
    this.burstMs = this.spacingMs * Math.max(burst, 1);
  }

  /** Counts one request of `key`. Returns 0, or the milliseconds until a request is allowed. */
  take(key: string, nowMs: number): number {
    if (nowMs >= this.turnsAtMs || this.young.size >= MAX_KEYS) this.turn(nowMs);
    const fullAtMs = Math.max(this.young.get(key) ?? this.old.get(key) ?? nowMs, nowMs) + this.spacingMs;
    if (fullAtMs - nowMs > this.burstMs) return fullAtMs - nowMs - this.burstMs;
    this.young.set(key, fullAtMs);
    return 0;
  }

  private turn(nowMs: number): void {
    this.old = this.young;
    this.young = new Map();
    this.turnsAtMs = nowMs + this.burstMs;
  }
}
