import type { DeviceState } from './known-devices.js';

/**
 * How to answer from memory:
 * - `fresh`: the registry has confirmed it lately. `serve`: it is older, but the registry has just failed.
 * - `refresh`: serve it, and ask the registry in the background.
 * - `ask`: ask the registry first, and serve it if that fails (REFRESH_INTERVAL=0).
 * - `wait`: it is too old to be served (MAX_STALE), so ask the registry first. `refuse`: the registry has just failed.
 */
export type Advice = 'fresh' | 'serve' | 'refresh' | 'ask' | 'wait' | 'refuse';

export interface FreshnessOptions {
  /** In milliseconds. */
  readonly refreshInterval: number;
  readonly maxStale: number | undefined;
}

/** Decides, by the state of a product and the time, whether to answer from memory. Changes nothing. */
export class Freshness {
  constructor(private readonly options: FreshnessOptions) {}

  /** @param nowMs on the clock of `performance.now()`. Called on the hot path */
  of({ confirmedAtMs, retryAtMs }: DeviceState, nowMs: number): Advice {
    const { refreshInterval } = this.options;
    const ageMs = nowMs - confirmedAtMs;
    if (ageMs < refreshInterval) return 'fresh';
    const waiting = nowMs < retryAtMs;
    const tooOld = this.isTooOld(ageMs);
    if (waiting) return tooOld ? 'refuse' : 'serve';
    if (refreshInterval === 0) return 'ask';
    return tooOld ? 'wait' : 'refresh';
  }

  /** Returns whether MAX_STALE forbids to serve what the registry confirmed so long ago. */
  isTooOld(ageMs: number): boolean {
    const { maxStale, refreshInterval } = this.options;
    return maxStale !== undefined && ageMs >= Math.max(maxStale, refreshInterval);
  }
}
