import { Logger } from '@nestjs/common';
import type { UnitIdentity } from '../identity.js';
import { FleetStore, type ListedUnit, type UnitChange, type UnitCounts } from './fleet-store.js';
import type { UnitState } from './unit-state.js';
import { VersionCounts } from './version-counts.js';

/** A unit takes about 500 bytes. */
const MAX_UNITS = 100_000;

interface Entry {
  readonly identity: UnitIdentity;
  readonly state: UnitState;
}

/** Keeps units in memory. If there are too many, the unit that was not seen for the longest time is dropped. */
export class MemoryFleetStore extends FleetStore {
  private readonly logger = new Logger('MemoryFleetStore');
  /** The least recently changed first. */
  private readonly units = new Map<string, Entry>();
  private readonly versions = new VersionCounts();
  private warned = false;

  constructor(private readonly max = MAX_UNITS) {
    super();
  }

  override find(identity: UnitIdentity): UnitState | undefined {
    return this.units.get(keyOf(identity))?.state;
  }

  override update(
    { product, unit }: UnitIdentity,
    change: UnitChange,
  ): Promise<{ before: UnitState | undefined; after: UnitState }> {
    const key = keyOf({ product, unit });
    const before = this.units.get(key)?.state;
    const after = change(before);
    if (after === before) return Promise.resolve({ before, after });
    this.units.delete(key);
    this.units.set(key, { identity: { product, unit }, state: after });
    this.versions.change(product, before, after);
    if (this.units.size > this.max) this.dropOldest();
    return Promise.resolve({ before, after });
  }

  override remove(identity: UnitIdentity): Promise<UnitState | undefined> {
    const before = this.find(identity);
    this.units.delete(keyOf(identity));
    if (before) this.versions.change(identity.product, before, undefined);
    return Promise.resolve(before);
  }

  override list(product: string, after: string | undefined, limit: number): Promise<readonly ListedUnit[]> {
    const found: ListedUnit[] = [];
    for (const { identity, state } of this.units.values())
      if (identity.product === product && (after === undefined || identity.unit > after))
        found.push({ unit: identity.unit, ...state });
    found.sort((a, b) => (a.unit < b.unit ? -1 : 1));
    return Promise.resolve(found.slice(0, limit));
  }

  override counts(product: string): Promise<UnitCounts> {
    return Promise.resolve(this.versions.of(product));
  }

  override products(limit: number): Promise<readonly string[]> {
    return Promise.resolve([...this.versions.names()].slice(0, limit));
  }

  private dropOldest(): void {
    const [oldest] = this.units;
    if (!oldest) return;
    this.units.delete(oldest[0]);
    this.versions.change(oldest[1].identity.product, oldest[1].state, undefined);
    if (this.warned) return;
    this.warned = true;
    this.logger.warn({
      event: 'units.too_many',
      limit: this.max,
      reason: `more than ${this.max} units were seen, and those that were not seen for the longest time are forgotten. Set STATE_DIR to keep up to a few million units on disk`,
    });
  }
}

/** A product contains no NUL, so the key is unique. */
function keyOf({ product, unit }: UnitIdentity): string {
  return `${product}\0${unit}`;
}
