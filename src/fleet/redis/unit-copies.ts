import type { UnitIdentity } from '../../identity.js';
import type { UnitChange, UnitCounts } from '../fleet-store.js';
import type { UnitState } from '../unit-state.js';
import { VersionCounts } from '../version-counts.js';

/** What this replica knows of a unit. */
export interface Copy {
  /** As Redis has it; '' if it has none. */
  readonly raw: string;
  readonly state: UnitState | undefined;
  /** When Redis was asked, on the clock of `performance.now()`. */
  readonly atMs: number;
  /** Changes that Redis does not have yet, oldest first. */
  readonly waiting: UnitChange[];
  /** Numbers of writes that were not answered, and how many of the changes in `waiting` each contains. */
  readonly attempts: Map<number, number>;
}

/** What another replica has changed is seen after this time. */
const FRESH_MS = 1_000;
/** Copies of other units are dropped, those that were not used for the longest time first. */
const MAX_COPIES = 50_000;
/** Units with changes that wait. The oldest ones are dropped. */
const MAX_WAITING = 100_000;
/** More changes of one unit are joined. */
const MAX_CHANGES = 20;

/** The units that this replica has seen last, and the changes that wait for Redis. */
export class UnitCopies {
  private readonly copies = new Map<string, Copy & { readonly identity: UnitIdentity }>();
  private readonly late = new Map<string, UnitIdentity>();
  private readonly sent = new Map<string, number>();
  private readonly versions = new VersionCounts();

  get(identity: UnitIdentity): Copy | undefined {
    return this.copies.get(keyOf(identity));
  }

  isFresh({ atMs }: Copy): boolean {
    return performance.now() - atMs < FRESH_MS;
  }

  /** Notes what Redis has now. */
  put(identity: UnitIdentity, raw: string, state: UnitState | undefined): Copy {
    const { product, unit } = identity;
    const key = keyOf(identity);
    const known = this.copies.get(key);
    // A change that waits is not forgotten because Redis was read.
    this.late.delete(key);
    this.sent.delete(key);
    this.versions.change(product, known?.state, state);
    this.copies.delete(key);
    const copy = { identity: { product, unit }, raw, state, atMs: performance.now(), waiting: [], attempts: new Map() };
    this.copies.set(key, copy);
    this.bound();
    return copy;
  }

  /** Notes that a state is sent to Redis, which may get it although it does not answer. */
  attempted(identity: UnitIdentity, write: number): void {
    const key = keyOf(identity);
    const copy = this.copies.get(key);
    if (copy && copy.waiting.length > 0) copy.attempts.set(write, copy.waiting.length);
    else this.sent.set(key, write);
  }

  /** Notes a change that Redis does not have. */
  wait(identity: UnitIdentity, state: UnitState, change: UnitChange): void {
    const { product, unit } = identity;
    const key = keyOf(identity);
    const known = this.copies.get(key);
    const attempts = known?.attempts ?? new Map<number, number>();
    const waiting = known?.waiting ?? [];
    const sent = this.sent.get(key);
    waiting.push(change);
    if (sent !== undefined) attempts.set(sent, waiting.length);
    this.sent.delete(key);
    if (waiting.length > MAX_CHANGES) join(waiting, attempts);
    this.versions.change(product, known?.state, state);
    this.copies.delete(key);
    const atMs = performance.now();
    this.copies.set(key, { identity: { product, unit }, raw: known?.raw ?? '', state, atMs, waiting, attempts });
    this.late.set(key, { product, unit });
    if (this.late.size > MAX_WAITING) this.dropLate();
    this.bound();
  }

  /** Returns the changes that Redis does not have, which has the write `number` of this replica, or a later one. */
  missing({ waiting, attempts }: Copy, number: number): UnitChange[] {
    const written = [...attempts].filter(([attempt]) => attempt <= number).map(([, contained]) => contained);
    return waiting.slice(Math.max(0, ...written));
  }

  /** The units with changes that wait, oldest first. */
  waiting(): UnitIdentity[] {
    return [...this.late.values()];
  }

  /** What is known without Redis. */
  countsOf(product: string): UnitCounts {
    return this.versions.of(product);
  }

  products(): string[] {
    return [...this.versions.names()];
  }

  private bound(): void {
    for (const [key, { identity, state, waiting }] of this.copies) {
      if (this.copies.size <= MAX_COPIES + this.late.size) return;
      if (waiting.length > 0) continue;
      this.copies.delete(key);
      this.versions.change(identity.product, state, undefined);
    }
  }

  private dropLate(): void {
    const [oldest] = this.late.keys();
    if (oldest === undefined) return;
    this.late.delete(oldest);
    this.copies.get(oldest)?.waiting.splice(0);
  }
}

/** Joins the two oldest changes that no sent state contains. */
function join(waiting: UnitChange[], attempts: ReadonlyMap<number, number>): void {
  const start = Math.max(0, ...attempts.values());
  const [first, second] = waiting.slice(start);
  if (first && second) waiting.splice(start, 2, (before) => second(first(before)));
}

function keyOf({ product, unit }: UnitIdentity): string {
  return `${product}\0${unit}`;
}
