/** The offers of a period are counted in so many slots. */
export const SLOTS = 60;

/** Number of new offers in a time, over all units. */
export interface OfferRate {
  readonly offers: number;
  readonly perMs: number;
}

/**
 * Counts the offers of a rollout over a moving period, so that no period contains more offers than its rate allows. It is
 * exact to a sixtieth of the period: an offer counts that much longer.
 */
export class RateWindow {
  private perMs = 0;
  private readonly taken = new Map<number, number>();

  /** Takes up to `wanted` offers at `nowMs`, and returns how many. */
  take(rate: OfferRate, nowMs: number, wanted = 1): number {
    const granted = Math.min(wanted, this.left(rate, nowMs));
    if (granted <= 0) return 0;
    const slot = slotOf(rate.perMs, nowMs);
    this.taken.set(slot, (this.taken.get(slot) ?? 0) + granted);
    return granted;
  }

  /** Returns how many offers may be taken at `nowMs`. */
  left(rate: OfferRate, nowMs: number): number {
    // A plan that changes the period counts anew.
    if (rate.perMs !== this.perMs) {
      this.perMs = rate.perMs;
      this.taken.clear();
    }
    const slot = slotOf(rate.perMs, nowMs);
    let sum = 0;
    for (const [at, count] of this.taken) {
      // The clock may have gone back.
      if (at < slot - SLOTS || at > slot + SLOTS) this.taken.delete(at);
      else sum += count;
    }
    return Math.max(0, rate.offers - sum);
  }
}

/** Returns the slot of a time. */
export function slotOf(perMs: number, nowMs: number): number {
  return Math.floor((nowMs * SLOTS) / perMs);
}
