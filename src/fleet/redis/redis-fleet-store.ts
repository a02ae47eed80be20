import { Logger } from '@nestjs/common';
import { explained, OtaError } from '../../errors.js';
import type { UnitIdentity } from '../../identity.js';
import type { RedisLink } from '../../replicas/index.js';
import { FleetStore, type ListedUnit, type UnitChange, type UnitCounts } from '../fleet-store.js';
import type { UnitState } from '../unit-state.js';
import { CHANGE_UNIT, LIST_UNITS } from './scripts.js';
import { stateIn, textOf, writesIn } from './stored-unit.js';
import { UnitCopies, type Copy } from './unit-copies.js';

/** About 600 bytes of Redis each. Further units are not stored. */
const MAX_UNITS = 5_000_000;
/** Another replica may be faster again and again, but not for ever. */
const MAX_ATTEMPTS = 50;
/** Units that are read in one step. */
const PAGE = 500;

type Changed = Awaited<ReturnType<FleetStore['update']>>;

/**
 * Keeps units in a Redis that replicas share. While it cannot be reached, units are known from memory, and what they say is
 * written when it works again.
 */
export class RedisFleetStore extends FleetStore {
  private readonly logger = new Logger('RedisFleetStore');
  private readonly copies = new UnitCopies();
  /** Changes of one unit follow each other. */
  private readonly turns = new Map<string, Promise<unknown>>();
  private writes = 0;
  private total = 0;
  private warned = false;
  private closed = false;

  constructor(
    private readonly link: RedisLink,
    private readonly release: () => void,
    private readonly max = MAX_UNITS,
  ) {
    super();
    link.restored.subscribe(() => void this.catchUp());
    void this.countAll();
  }

  override find(identity: UnitIdentity): UnitState | undefined | Promise<UnitState | undefined> {
    if (this.closed) throw new OtaError('unavailable', 'the server is stopping');
    const copy = this.copies.get(identity);
    if (copy && (copy.waiting.length > 0 || this.copies.isFresh(copy) || !this.link.isUp)) return copy.state;
    if (!this.link.isUp) return undefined;
    return this.read(identity).then(
      ({ state }) => state,
      () => this.copies.get(identity)?.state,
    );
  }

  override update(identity: UnitIdentity, change: UnitChange): Promise<Changed> {
    return this.inTurn(identity, () => this.change(identity, change));
  }

  override remove(identity: UnitIdentity): Promise<UnitState | undefined> {
    return this.inTurn(identity, async () => {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const { raw, state } = await this.read(identity);
        if (raw === '') return undefined;
        if ((await this.write(identity, { raw, state }, undefined)) === undefined) return state;
      }
      throw new OtaError('unavailable', 'another replica changes the unit all the time');
    });
  }

  override async list(product: string, after: string | undefined, limit: number): Promise<readonly ListedUnit[]> {
    const found: ListedUnit[] = [];
    let from = after;
    for (;;) {
      const wanted = Math.min(PAGE, limit - found.length);
      const start = from === undefined ? '-' : `(${from}`;
      const [names, states] = (await this.link.script(LIST_UNITS, this.keysOf(product).slice(0, 2), [
        start,
        wanted,
      ])) as [string[], (string | null)[]];
      for (const [i, unit] of names.entries()) {
        const state = this.parsed({ product, unit }, states[i] ?? '');
        if (state) found.push({ unit, ...state });
      }
      from = names.at(-1);
      if (names.length < wanted || found.length >= limit) return found;
    }
  }

  override async counts(product: string): Promise<UnitCounts> {
    const [states, , versions] = this.keysOf(product);
    try {
      const [units, byVersion] = await Promise.all([
        this.link.call('HLEN', states),
        this.link.call('HGETALL', versions),
      ]);
      const counted = pairsOf(byVersion).map(([field, count]) => [field.slice(1), Number(count)] as const);
      return { units: Number(units), byVersion: new Map(counted.filter(([, count]) => count > 0)) };
    } catch {
      return this.copies.countsOf(product);
    }
  }

  override async products(limit: number): Promise<readonly string[]> {
    try {
      const products = pairsOf(await this.link.call('HGETALL', this.productsKey));
      return products
        .filter(([, count]) => Number(count) > 0)
        .slice(0, limit)
        .map(([product]) => product);
    } catch {
      return this.copies.products().slice(0, limit);
    }
  }

  override async close(): Promise<void> {
    await Promise.all(this.turns.values());
    if (this.link.isUp) await this.catchUp();
    this.closed = true;
    this.release();
  }

  private get productsKey(): string {
    return this.link.key('units', 'products');
  }

  private keysOf(product: string): [states: string, names: string, versions: string] {
    const key = (name: string): string => this.link.key(product, name);
    return [key('units'), key('names'), key('versions')];
  }

  private async change(identity: UnitIdentity, change: UnitChange): Promise<Changed> {
    const copy = this.copies.get(identity);
    if (!this.link.isUp || (copy && copy.waiting.length > 0)) return this.wait(identity, change);
    try {
      let known: Copy = copy ?? (await this.read(identity));
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const before = known.state;
        const after = change(before);
        if (after === before) return { before, after };
        const other = await this.write(identity, known, after);
        if (other === undefined) return { before, after };
        known = other;
      }
    } catch (error) {
      if (!(error instanceof OtaError)) throw error;
    }
    const waiting = this.wait(identity, change);
    void this.catchUp();
    return waiting;
  }

  /** Changes the copy in memory. Redis gets the change later. */
  private wait(identity: UnitIdentity, change: UnitChange): Changed {
    const before = this.copies.get(identity)?.state;
    const after = change(before);
    if (after !== before) this.copies.wait(identity, after, change);
    return { before, after };
  }

  /**
   * Writes a state if Redis still has the one before, and returns undefined. Otherwise returns what Redis has. Rejects if
   * Redis does not answer: then it may have the new state all the same.
   */
  private async write(
    identity: UnitIdentity,
    before: Pick<Copy, 'raw' | 'state'>,
    after: UnitState | undefined,
  ): Promise<Copy | undefined> {
    const { product, unit } = identity;
    const write = ++this.writes;
    const raw = after === undefined ? '' : textOf(after, before.raw, this.link.replica, write);
    if (before.raw === '' && this.total >= this.max) this.warnFull();
    const mayAdd = this.total < this.max ? 1 : 0;
    this.copies.attempted(identity, write);
    const args = [unit, before.raw, raw, versionField(before.state), versionField(after), mayAdd];
    const [result, value] = (await this.link.script(CHANGE_UNIT, this.keysOf(product), args)) as [
      number,
      string | number,
    ];
    if (result === 0) return this.copies.put(identity, String(value), this.parsed(identity, String(value)));
    if (result === 1) {
      this.copies.put(identity, raw, after);
      if ((before.raw === '') !== (raw === '')) void this.noteProduct(product, Number(value), raw === '' ? -1 : 1);
    }
    return undefined;
  }

  private async read(identity: UnitIdentity): Promise<Copy> {
    const [states] = this.keysOf(identity.product);
    const value = await this.link.call('HGET', states, identity.unit);
    const raw = typeof value === 'string' ? value : '';
    return this.copies.put(identity, raw, this.parsed(identity, raw));
  }

  /** Writes what waits. A change that Redis has already, although it did not say so, is not made twice. */
  private async catchUp(): Promise<void> {
    void this.countAll();
    for (const identity of this.copies.waiting()) {
      if (!this.link.isUp) return;
      await this.inTurn(identity, () => this.catchUpWith(identity)).catch((error: unknown) => {
        this.logger.debug({ event: 'units.store_failed', ...explained(error) });
      });
    }
  }

  private async catchUpWith(identity: UnitIdentity): Promise<void> {
    const copy = this.copies.get(identity);
    if (!copy || copy.waiting.length === 0) return;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const [states] = this.keysOf(identity.product);
      const value = await this.link.call('HGET', states, identity.unit);
      const raw = typeof value === 'string' ? value : '';
      const known = this.parsed(identity, raw);
      const changes = this.copies.missing(copy, writesIn(raw).get(this.link.replica) ?? 0);
      let after = known;
      for (const change of changes) after = change(after);
      if (after === known || after === undefined) {
        this.copies.put(identity, raw, known);
        return;
      }
      if ((await this.write(identity, { raw, state: known }, after)) === undefined) return;
    }
  }

  private parsed({ product, unit }: UnitIdentity, raw: string): UnitState | undefined {
    try {
      return stateIn(raw);
    } catch (error) {
      this.logger.warn({ event: 'units.unreadable', device: product, unit, ...explained(error) });
      return undefined;
    }
  }

  private async inTurn<T>({ product, unit }: UnitIdentity, work: () => Promise<T>): Promise<T> {
    const key = `${product}\0${unit}`;
    const before = this.turns.get(key);
    const mine = (before ?? Promise.resolve()).then(work, work);
    const settled = mine.catch(() => undefined);
    this.turns.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.turns.get(key) === settled) this.turns.delete(key);
    }
  }

  private async noteProduct(product: string, units: number, change: number): Promise<void> {
    this.total += change;
    await this.link.call('HSET', this.productsKey, product, units).catch(() => undefined);
  }

  private async countAll(): Promise<void> {
    try {
      const counts = pairsOf(await this.link.call('HGETALL', this.productsKey));
      this.total = counts.reduce((sum, [, count]) => sum + Number(count), 0);
    } catch {
      // It is counted when Redis works again.
    }
  }

  private warnFull(): void {
    if (this.warned) return;
    this.warned = true;
    this.logger.warn({
      event: 'units.too_many',
      limit: this.max,
      reason: `Redis holds ${this.max} units, and no further unit is stored. Set up credentials for devices, and remove units that strangers have made up`,
    });
  }
}

function versionField(state: UnitState | undefined): string {
  return state?.running === undefined ? '' : `=${state.running}`;
}

/** The answer of HGETALL as pairs. */
function pairsOf(answer: unknown): [string, string][] {
  const list = Array.isArray(answer)
    ? answer.map(String)
    : Object.entries(answer ?? {})
        .flat()
        .map(String);
  return Array.from({ length: Math.floor(list.length / 2) }, (_, i) => [list[2 * i] ?? '', list[2 * i + 1] ?? '']);
}
