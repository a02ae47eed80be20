/** Keys in one generation: more than any fleet has, less than an attacker would like. */
const MAX_KEYS = 200_000;

/**
 * So many requests a second for each key, and a burst of them at once, by the generic cell rate algorithm (ITU-T I.371):
 * one number a key, which is when its bucket will be full again. What was not heard of for as long as a bucket takes to
 * fill is forgotten.
 */
export class RateLimiter {
  private young = new Map<string, number>();
  private old = new Map<string, number>();
  private turnsAtMs = 0;
  private readonly spacingMs: number;
  private readonly burstMs: number;

  /** @param perSecond over 0 @param burst at least 1 */
  constructor(perSecond: number, burst: number) {
    this.spacingMs = 1000 / perSecond;
    this.burstMs = this.spacingMs * Math.max(burst, 1);
  }

  /** Takes one request of `key`; resolves to 0, or to the milliseconds after which one would be taken. */
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
