import { Logger } from '@nestjs/common';
import type { Database, RootDatabase } from 'lmdb';
import { explained, OtaError } from '../../errors.js';
import type { UnitIdentity } from '../../identity.js';
import { turn } from '../../timers.js';
import { FleetStore, type ListedUnit, type UnitChange, type UnitCounts } from '../fleet-store.js';
import { unitStateSchema, type UnitState } from '../unit-state.js';
import { VersionCounts } from '../version-counts.js';
import type { RolloutKey } from './lmdb-rollout-keeper.js';

/** About 500 bytes of disk each. Further units are not stored. */
const MAX_UNITS = 5_000_000;

/** Units that were read last: each is checked once, and not at every request. About 1 KB each. */
const MAX_RECENT = 10_000;
/** Units that are read in a row. After them, devices that wait are answered. */
const SLICE = 200;

type UnitKey = [product: string, unit: string];
/** The number of a product's units has the version `''`. */
type CountKey = [product: string, version: string];

/** The databases of an open environment. */
export interface LmdbTables {
  readonly root: RootDatabase;
  readonly units: Database<unknown, UnitKey>;
  readonly counts: Database<unknown, CountKey>;
  readonly rollouts: Database<unknown, RolloutKey>;
}

/**
 * Keeps units in LMDB, a key-value store in one file: memory-mapped, and consistent after a crash at any moment. Only one
 * process writes to the file.
 */
export class LmdbFleetStore extends FleetStore {
  private readonly logger = new Logger('LmdbFleetStore');
  /** Changes that are not committed yet; `null` for a unit that was removed. */
  private readonly uncommitted = new Map<string, UnitState | null>();
  /** What was read last and has not changed since; the oldest first. `null` for a unit that does not exist. */
  private readonly recent = new Map<string, UnitState | null>();
  private readonly versions = new VersionCounts();
  private total = 0;
  private warned = false;
  private closed = false;

  constructor(
    private readonly tables: LmdbTables,
    private readonly max = MAX_UNITS,
  ) {
    super();
    this.readCounts();
  }

  override find(identity: UnitIdentity): UnitState | undefined {
    const key = keyOf(identity);
    const recent = this.closed ? undefined : this.recent.get(key);
    if (recent !== undefined) return recent ?? undefined;
    const state = this.read(identity);
    if (this.uncommitted.has(key)) return state;
    this.recent.set(key, state ?? null);
    if (this.recent.size > MAX_RECENT) {
      const [oldest] = this.recent.keys();
      if (oldest !== undefined) this.recent.delete(oldest);
    }
    return state;
  }

  override async update(
    identity: UnitIdentity,
    change: UnitChange,
  ): Promise<{ before: UnitState | undefined; after: UnitState }> {
    const { product, unit } = identity;
    const before = this.find(identity);
    const after = change(before);
    if (after === before) return { before, after };
    if (!before && this.total >= this.max) {
      this.warnFull();
      return { before, after };
    }
    const key = keyOf(identity);
    this.recent.delete(key);
    this.uncommitted.set(key, after);
    try {
      // Writes of one turn of the event loop are committed together, so the counts are never wrong.
      const written = this.tables.units.put([product, unit], after);
      this.count(product, before, after);
      await written;
    } catch (error) {
      throw OtaError.from(error, 'unavailable', 'the units in STATE_DIR cannot be written');
    } finally {
      if (this.uncommitted.get(key) === after) this.uncommitted.delete(key);
    }
    return { before, after };
  }

  override async remove(identity: UnitIdentity): Promise<UnitState | undefined> {
    const { product, unit } = identity;
    const before = this.find(identity);
    if (!before) return undefined;
    const key = keyOf(identity);
    this.recent.delete(key);
    this.uncommitted.set(key, null);
    try {
      const removed = this.tables.units.remove([product, unit]);
      this.count(product, before, undefined);
      await removed;
    } catch (error) {
      throw OtaError.from(error, 'unavailable', 'the units in STATE_DIR cannot be written');
    } finally {
      if (this.uncommitted.get(key) === null) this.uncommitted.delete(key);
    }
    return before;
  }

  override async list(product: string, after: string | undefined, limit: number): Promise<readonly ListedUnit[]> {
    const found: ListedUnit[] = [];
    let from = after;
    for (;;) {
      const names = this.namesAfter(product, from, Math.min(SLICE, limit - found.length));
      for (const unit of names) {
        const state = this.read({ product, unit });
        if (state) found.push({ unit, ...state });
      }
      from = names.at(-1);
      if (names.length < SLICE || found.length >= limit) return found;
      await turn();
    }
  }

  private namesAfter(product: string, after: string | undefined, limit: number): string[] {
    const names: string[] = [];
    for (const [name, unit] of this.tables.units.getKeys({ start: [product, after ?? ''] })) {
      if (name !== product || names.length === limit) break;
      if (unit !== after) names.push(unit);
    }
    return names;
  }

  override counts(product: string): Promise<UnitCounts> {
    return Promise.resolve(this.versions.of(product));
  }

  override products(limit: number): Promise<readonly string[]> {
    return Promise.resolve([...this.versions.names()].slice(0, limit));
  }

  override async close(): Promise<void> {
    this.closed = true;
    await this.tables.root.flushed;
    await this.tables.root.close();
  }

  private read({ product, unit }: UnitIdentity): UnitState | undefined {
    // LMDB ends the process if it is used afterwards.
    if (this.closed) throw new OtaError('unavailable', 'the server is stopping');
    const uncommitted = this.uncommitted.get(keyOf({ product, unit }));
    return uncommitted === undefined ? this.stored([product, unit]) : (uncommitted ?? undefined);
  }

  /** Returns what is on disk. A value that cannot be read counts as missing, and is replaced by the next change. */
  private stored(key: UnitKey): UnitState | undefined {
    try {
      const value = this.tables.units.get(key);
      return value === undefined ? undefined : unitStateSchema.parse(value);
    } catch (error) {
      this.logger.warn({ event: 'units.unreadable', device: key[0], unit: key[1], ...explained(error) });
      return undefined;
    }
  }

  private count(product: string, before: UnitState | undefined, after: UnitState | undefined): void {
    this.total += (after ? 1 : 0) - (before ? 1 : 0);
    this.versions.change(product, before, after);
    if (before && after && before.running === after.running) return;
    const { units, byVersion } = this.versions.of(product);
    void this.tables.counts.put([product, ''], units);
    for (const version of [before?.running, after?.running]) {
      if (version === undefined) continue;
      const count = byVersion.get(version);
      if (count === undefined) void this.tables.counts.remove([product, version]);
      else void this.tables.counts.put([product, version], count);
    }
  }

  private readCounts(): void {
    let current: { product: string; units: number; byVersion: Map<string, number> } | undefined;
    for (const { key, value } of this.tables.counts.getRange()) {
      const [product, version] = key;
      const count = Number(value);
      if (!Number.isSafeInteger(count) || count < 1) continue;
      if (version === '') {
        current = { product, units: count, byVersion: new Map() };
        this.versions.set(product, count, current.byVersion);
        this.total += count;
      } else if (current?.product === product) current.byVersion.set(version, count);
    }
  }

  private warnFull(): void {
    if (this.warned) return;
    this.warned = true;
    this.logger.warn({
      event: 'units.too_many',
      limit: this.max,
      reason: `STATE_DIR holds ${this.max} units, and no further unit is stored. Set up credentials for devices, and delete the folder units in STATE_DIR if strangers have filled it`,
    });
  }
}

/** A product contains no NUL, so the key is unique. */
function keyOf({ product, unit }: UnitIdentity): string {
  return `${product}\0${unit}`;
}
