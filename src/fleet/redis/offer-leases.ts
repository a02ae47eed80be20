import type { Clock } from '../../clock.js';
import type { RedisLink } from '../../replicas/index.js';
import { SLOTS, slotOf, type OfferRate } from '../rate-window.js';
import { TAKE_OFFERS } from './scripts.js';

interface Lease {
  readonly rate: OfferRate;
  readonly key: string;
  left: number;
  /** How many are taken at once. */
  size: number;
  asking: boolean;
  /** When the last one was used or taken, on the clock of `performance.now()`. */
  usedAtMs: number;
}

/** Unused offers are given back after this time, so that another replica can make them. */
const IDLE_MS = 1_000;
const MAX_LEASES = 10_000;

/** The offers that this replica has taken in advance from what rates allow to all replicas. */
export class OfferLeases {
  private readonly leases = new Map<string, Lease>();

  constructor(
    private readonly link: RedisLink,
    private readonly clock: Clock,
  ) {}

  /** Returns whether there is an offer. If there is none, asks for more: the next unit may get one. */
  has(product: string, key: string, rate: OfferRate): boolean {
    const lease = this.of(product, key, rate);
    if (lease.left > 0) return true;
    this.ask(lease);
    return false;
  }

  take(product: string, key: string, rate: OfferRate): boolean {
    if (!this.has(product, key, rate)) return false;
    const lease = this.of(product, key, rate);
    lease.left--;
    lease.usedAtMs = performance.now();
    if (lease.left * 2 < lease.size) this.ask(lease);
    return true;
  }

  /** Gives back what was not used. Called once a second. */
  giveBack(): void {
    for (const [id, lease] of this.leases) {
      if (performance.now() - lease.usedAtMs < IDLE_MS || lease.asking) continue;
      this.leases.delete(id);
      if (lease.left > 0) this.move(lease, -lease.left).catch(() => undefined);
    }
  }

  private of(product: string, key: string, rate: OfferRate): Lease {
    const name = this.link.key(product, `rate:${key}:${rate.perMs}`);
    const id = `${name}:${rate.offers}`;
    let lease = this.leases.get(id);
    if (!lease) {
      const size = Math.max(1, Math.ceil((rate.offers * 1_000) / rate.perMs));
      lease = { rate, key: name, left: 0, size, asking: false, usedAtMs: performance.now() };
      if (this.leases.size < MAX_LEASES) this.leases.set(id, lease);
    }
    return lease;
  }

  private ask(lease: Lease): void {
    if (lease.asking || lease.rate.offers <= 0) return;
    lease.asking = true;
    // Used up within a second: more at once, up to a tenth of all.
    const isShort = lease.left === 0 && performance.now() - lease.usedAtMs < IDLE_MS;
    if (isShort) lease.size = Math.max(lease.size, Math.min(lease.size * 2, Math.ceil(lease.rate.offers / 10)));
    void this.move(lease, lease.size)
      .then(
        (granted) => {
          lease.left += granted;
          if (granted > 0) lease.usedAtMs = performance.now();
        },
        () => undefined,
      )
      .finally(() => (lease.asking = false));
  }

  private async move({ key, rate }: Lease, wanted: number): Promise<number> {
    const slot = slotOf(rate.perMs, this.clock.nowMs());
    const seconds = Math.ceil((rate.perMs / 1_000) * 2) + 1;
    return Number(await this.link.script(TAKE_OFFERS, [key], [slot, SLOTS, rate.offers, wanted, seconds]));
  }
}
