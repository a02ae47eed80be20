import type { UnitState } from './unit-state.js';
import type { UnitCounts } from './fleet-store.js';

/** Further versions of a product are not counted by themselves: units may send any text. */
const MAX_VERSIONS = 1_000;

/** Counts the units of products by the version that they run, as units change. */
export class VersionCounts {
  private readonly products = new Map<string, { units: number; byVersion: Map<string, number> }>();

  of(product: string): UnitCounts {
    return this.products.get(product) ?? { units: 0, byVersion: new Map() };
  }

  *names(): Iterable<string> {
    yield* this.products.keys();
  }

  /** Counts a unit of `product` that was `before` and is `after`. Undefined: it did not exist, or does not any more. */
  change(product: string, before: UnitState | undefined, after: UnitState | undefined): void {
    if (before && after && before.running === after.running) return;
    let counts = this.products.get(product);
    if (!counts) this.products.set(product, (counts = { units: 0, byVersion: new Map() }));
    counts.units += (after ? 1 : 0) - (before ? 1 : 0);
    add(counts.byVersion, before?.running, -1);
    add(counts.byVersion, after?.running, 1);
    if (counts.units <= 0) this.products.delete(product);
  }

  /** Sets the counts of a product, as they were stored. */
  set(product: string, units: number, byVersion: Map<string, number>): void {
    this.products.set(product, { units, byVersion });
  }
}

function add(counts: Map<string, number>, version: string | undefined, by: 1 | -1): void {
  if (version === undefined) return;
  const count = counts.get(version);
  if (count === undefined && (by < 0 || counts.size >= MAX_VERSIONS)) return;
  const next = (count ?? 0) + by;
  if (next > 0) counts.set(version, next);
  else counts.delete(version);
}
