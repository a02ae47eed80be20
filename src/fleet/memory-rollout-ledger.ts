import { EMPTY, type Observable } from 'rxjs';
import type { Clock } from '../clock.js';
import { RateWindow, type OfferRate } from './rate-window.js';
import type { RolloutKeeper } from './rollout-keeper.js';
import { RolloutLedger, type RolloutRecord, type Tally } from './rollout-ledger.js';

/** Further products are not counted: as many devices as may have a release. */
const MAX_PRODUCTS = 100_000;
/** Of more rollouts, the one that was not changed for the longest time is dropped, one that is not halted first. */
const MAX_ROLLOUTS = 200;

export const NOTHING: Tally = { offered: 0, installed: 0, failed: 0 };

/** Keeps counts of rollouts, reached stages and halts in memory. */
export class MemoryRolloutLedger extends RolloutLedger {
  override readonly changes: Observable<string> = EMPTY;
  override readonly isShared: boolean = false;
  /** By product and key, the least recently changed first. */
  private readonly products = new Map<string, Map<string, RolloutRecord>>();
  private readonly rates = new Map<string, Map<string, RateWindow>>();

  /**
   * @param keeper keeps the records across restarts
   * @param max number of products, and of rollouts of each
   */
  constructor(
    protected readonly clock: Clock,
    private readonly keeper?: RolloutKeeper,
    private readonly max = { products: MAX_PRODUCTS, rollouts: MAX_ROLLOUTS },
  ) {
    super();
    for (const [product, key, record] of keeper?.read() ?? []) this.set(product, key, record);
  }

  override find(product: string, key: string): RolloutRecord | undefined {
    return this.products.get(product)?.get(key);
  }

  override count(product: string, key: string, change: Partial<Tally>): void {
    this.change(product, key, (record) => ({ ...record, tally: added(record.tally, change) }));
  }

  override reach(product: string, key: string, stage: NonNullable<RolloutRecord['stage']>): void {
    const { index, sinceMs } = stage;
    this.change(product, key, (record) =>
      record.stage && record.stage.index >= index ? record : { ...record, stage: { index, sinceMs } },
    );
  }

  override halt(product: string, key: string, { reason, atMs }: NonNullable<RolloutRecord['halt']>): void {
    this.change(product, key, (record) => (record.halt ? record : { ...record, halt: { reason, atMs } }));
  }

  override take(product: string, key: string, rate: OfferRate): boolean {
    return this.windowOf(product, key).take(rate, this.clock.nowMs()) > 0;
  }

  override mayTake(product: string, key: string, rate: OfferRate): boolean {
    const known = this.rates.get(product)?.get(key);
    return known ? known.left(rate, this.clock.nowMs()) > 0 : rate.offers > 0;
  }

  override keep(product: string, keys: ReadonlySet<string>, among?: ReadonlySet<string>): void {
    const isGone = (key: string): boolean => !keys.has(key) && (among?.has(key) ?? true);
    for (const key of this.products.get(product)?.keys() ?? []) if (isGone(key)) this.drop(product, key);
    const rates = this.rates.get(product);
    for (const key of rates?.keys() ?? []) if (isGone(key)) rates?.delete(key);
    if (rates?.size === 0) this.rates.delete(product);
  }

  override async close(): Promise<void> {
    await this.keeper?.close();
  }

  /** All records. */
  protected *all(): Iterable<readonly [product: string, key: string, record: RolloutRecord]> {
    for (const [product, records] of this.products) for (const [key, record] of records) yield [product, key, record];
  }

  /** Returns the keys of a product's records. */
  protected keysOf(product: string): readonly string[] {
    return [...(this.products.get(product)?.keys() ?? [])];
  }

  /** Sets a record. Returns whether there was room for it. */
  private set(product: string, key: string, record: RolloutRecord): boolean {
    let records = this.products.get(product);
    if (!records) {
      if (this.products.size >= this.max.products) return false;
      this.products.set(product, (records = new Map<string, RolloutRecord>()));
    }
    records.delete(key);
    records.set(key, record);
    if (records.size > this.max.rollouts) this.dropOldest(product, records, key);
    return true;
  }

  /** Sets a record, and keeps it. */
  protected replace(product: string, key: string, record: RolloutRecord): void {
    if (this.set(product, key, record)) this.keeper?.changed(product, key, record);
  }

  protected drop(product: string, key: string): void {
    const records = this.products.get(product);
    records?.delete(key);
    if (records?.size === 0) this.products.delete(product);
    this.rates.get(product)?.delete(key);
    this.keeper?.changed(product, key, undefined);
  }

  private change(product: string, key: string, change: (record: RolloutRecord) => RolloutRecord): void {
    const before = this.find(product, key) ?? { tally: NOTHING, stage: undefined, halt: undefined };
    const after = change(before);
    if (after !== before) this.replace(product, key, after);
  }

  private dropOldest(product: string, records: ReadonlyMap<string, RolloutRecord>, except: string): void {
    const keys = [...records.keys()].filter((key) => key !== except);
    const oldest = keys.find((key) => !records.get(key)?.halt) ?? keys[0];
    if (oldest !== undefined) this.drop(product, oldest);
  }

  private windowOf(product: string, key: string): RateWindow {
    let rates = this.rates.get(product);
    if (!rates) this.rates.set(product, (rates = new Map<string, RateWindow>()));
    let window = rates.get(key);
    if (!window) rates.set(key, (window = new RateWindow()));
    return window;
  }
}

/** Returns a tally with a change, never below zero. */
export function added(tally: Tally, change: Partial<Tally>): Tally {
  const sum = (name: keyof Tally): number => Math.max(0, tally[name] + (change[name] ?? 0));
  return { offered: sum('offered'), installed: sum('installed'), failed: sum('failed') };
}
