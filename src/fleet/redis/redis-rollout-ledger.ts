import { Logger } from '@nestjs/common';
import { Subject } from 'rxjs';
import type { Clock } from '../../clock.js';
import { explained } from '../../errors.js';
import type { RedisLink } from '../../replicas/index.js';
import { isRepositoryName } from '../../repository-name.js';
import { after, every, type Timer } from '../../timers.js';
import { MemoryRolloutLedger } from '../memory-rollout-ledger.js';
import type { OfferRate } from '../rate-window.js';
import type { RolloutKeeper } from '../rollout-keeper.js';
import type { RolloutRecord, Tally } from '../rollout-ledger.js';
import { OfferLeases } from './offer-leases.js';
import { changedBy, recordsIn, RolloutChanges, type RolloutChange } from './rollout-changes.js';
import { CHANGE_ROLLOUTS, TOUCH_PRODUCT } from './scripts.js';

/** Counts are written so long after the first one, together. Stages and halts are written at once. */
const COLLECT_MS = 100;
const LOOK_MS = 1_000;
/** Products that are read in a row. */
const AT_ONCE = 200;
const NEWS = 'rollouts';

/** What of a product Redis does not have yet. */
interface Unwritten {
  readonly changes: RolloutChanges;
  /** Was sent, without an answer so far. It is sent again under its number, so that it counts once. */
  sent: { readonly number: number; readonly changes: readonly RolloutChange[] } | undefined;
  timer: Timer | undefined;
}

/**
 * Shares the records of rollouts through Redis. Everything is read from a copy in memory, which follows Redis within a
 * second. While Redis cannot be reached, the copy goes on alone; what was counted meanwhile is added later.
 */
export class RedisRolloutLedger extends MemoryRolloutLedger {
  override readonly changes = new Subject<string>();
  override readonly isShared = true;
  private readonly logger = new Logger('RolloutLedger');
  private readonly unwritten = new Map<string, Unwritten>();
  private readonly untold = new Set<string>();
  private readonly outdated = new Set<string>();
  private readonly leases: OfferLeases;
  private readonly looking: Timer;
  private reading: Timer | undefined;
  private syncing: Promise<void> | undefined;
  private synced = false;
  private batches = 0;
  private revision = 0;

  private constructor(
    private readonly link: RedisLink,
    private readonly release: () => void,
    clock: Clock,
    keeper: RolloutKeeper | undefined,
  ) {
    super(clock, keeper);
    this.leases = new OfferLeases(link, clock);
    link.restored.subscribe(() => {
      this.synced = false;
      void this.sync();
    });
    link.news.subscribe(({ topic, text }) => {
      if (topic === NEWS && isRepositoryName(text)) this.readSoon(text);
    });
    this.looking = every(LOOK_MS, () => {
      this.leases.giveBack();
      void this.sync();
    });
  }

  /** Reads all records. Resolves also if Redis does not answer: then what is known here goes on. */
  static async open(
    link: RedisLink,
    release: () => void,
    clock: Clock,
    keeper: RolloutKeeper | undefined,
  ): Promise<RedisRolloutLedger> {
    const ledger = new RedisRolloutLedger(link, release, clock, keeper);
    await ledger.sync();
    return ledger;
  }

  override count(product: string, key: string, change: Partial<Tally>): void {
    super.count(product, key, change);
    this.note(product, (changes) => {
      changes.count(key, change);
    });
  }

  override reach(product: string, key: string, stage: NonNullable<RolloutRecord['stage']>): void {
    const before = this.find(product, key);
    super.reach(product, key, stage);
    if (this.find(product, key) !== before) {
      this.noteNow(product, (changes) => {
        changes.stage(key, stage);
      });
    }
  }

  override halt(product: string, key: string, halt: NonNullable<RolloutRecord['halt']>): void {
    const before = this.find(product, key);
    super.halt(product, key, halt);
    if (this.find(product, key) !== before) {
      this.noteNow(product, (changes) => {
        changes.halt(key, halt);
      });
    }
  }

  override keep(product: string, keys: ReadonlySet<string>, among?: ReadonlySet<string>): void {
    const gone = this.keysOf(product).filter((key) => !keys.has(key) && (among?.has(key) ?? true));
    super.keep(product, keys, among);
    for (const key of gone)
      this.note(product, (changes) => {
        changes.drop(key);
      });
  }

  override take(product: string, key: string, rate: OfferRate): boolean {
    if (!this.link.isUp) return super.take(product, key, rate);
    if (!this.leases.take(product, key, rate)) return false;
    // If Redis fails, this replica knows what it has taken itself.
    super.take(product, key, rate);
    return true;
  }

  override mayTake(product: string, key: string, rate: OfferRate): boolean {
    return this.link.isUp ? this.leases.has(product, key, rate) : super.mayTake(product, key, rate);
  }

  override async close(): Promise<void> {
    this.looking.stop();
    this.reading?.stop();
    await Promise.all([...this.unwritten.keys()].map((product) => this.write(product)));
    for (const { timer } of this.unwritten.values()) timer?.stop();
    this.changes.complete();
    await super.close();
    this.release();
  }

  private noteNow(product: string, note: (changes: RolloutChanges) => void): void {
    this.note(product, note);
    void this.write(product);
  }

  private note(product: string, note: (changes: RolloutChanges) => void): void {
    const unwritten = this.unwrittenOf(product);
    note(unwritten.changes);
    unwritten.timer ??= after(COLLECT_MS, () => void this.write(product), { background: true });
  }

  private unwrittenOf(product: string): Unwritten {
    let unwritten = this.unwritten.get(product);
    if (!unwritten) {
      unwritten = { changes: new RolloutChanges(), sent: undefined, timer: undefined };
      this.unwritten.set(product, unwritten);
    }
    return unwritten;
  }

  private async write(product: string): Promise<void> {
    const unwritten = this.unwrittenOf(product);
    unwritten.timer?.stop();
    unwritten.timer = undefined;
    // The sync after a failure sends it again.
    if (unwritten.sent || !this.link.isUp) return;
    while (unwritten.changes.size > 0) {
      unwritten.sent = { number: ++this.batches, changes: unwritten.changes.takeAll() };
      if (!(await this.send(product, unwritten))) return;
    }
    this.unwritten.delete(product);
    await this.tell(product);
  }

  /** Sends what was taken out. Returns whether Redis has it. */
  private async send(product: string, unwritten: Unwritten): Promise<boolean> {
    const { sent } = unwritten;
    if (!sent) return true;
    const keys = [this.link.key(product, 'rollouts'), this.link.key(product, `applied:${this.link.replica}`)];
    try {
      const fields = await this.link.script(CHANGE_ROLLOUTS, keys, [sent.number, JSON.stringify(sent.changes)]);
      unwritten.sent = undefined;
      this.untold.add(product);
      this.apply(product, fields);
      return true;
    } catch {
      return false;
    }
  }

  private async tell(product: string): Promise<void> {
    if (!this.untold.has(product)) return;
    try {
      const keys = [this.link.key('rollouts', 'revision'), this.link.key('rollouts', 'touched')];
      await this.link.script(TOUCH_PRODUCT, keys, [product]);
      this.untold.delete(product);
      this.link.tell(NEWS, product);
    } catch {
      // The next sync tells it.
    }
  }

  /** Sends what Redis does not have, and reads what has changed since the last time. Never rejects. */
  private sync(): Promise<void> {
    this.syncing ??= this.synchronize()
      .catch((error: unknown) => {
        this.logger.debug({ event: 'rollouts.sync_failed', ...explained(error) });
      })
      .finally(() => (this.syncing = undefined));
    return this.syncing;
  }

  private async synchronize(): Promise<void> {
    if (!this.link.isUp) return;
    const revision = Number((await this.link.call('GET', this.link.key('rollouts', 'revision'))) ?? 0);
    // Redis has lost its data, or this is another one. Whoever still knows them writes halts, stages and counts again.
    if (revision < this.revision || (this.revision === 0 && revision === 0)) {
      this.revision = 0;
      this.restoreAll();
    }
    this.synced = true;
    for (const [product, unwritten] of this.unwritten) {
      if (unwritten.sent && !(await this.send(product, unwritten))) return;
      await this.write(product);
    }
    for (const product of this.untold) await this.tell(product);
    for (;;) {
      const touched = (await this.link.call(
        'ZRANGEBYSCORE',
        this.link.key('rollouts', 'touched'),
        `(${this.revision}`,
        '+inf',
        'WITHSCORES',
        'LIMIT',
        0,
        AT_ONCE,
      )) as (string | [string, number])[];
      const flat = touched.flat().map(String);
      const products = flat.filter((_text, i) => i % 2 === 0).filter((product) => isRepositoryName(product));
      await Promise.all(products.map((product) => this.readNow(product)));
      this.revision = Math.max(this.revision, Number(flat.at(-1) ?? 0));
      if (flat.length < 2 * AT_ONCE) return;
    }
  }

  private restoreAll(): void {
    for (const [product, key, record] of this.all())
      this.note(product, (changes) => {
        changes.restore(key, record);
      });
  }

  private readSoon(product: string): void {
    this.outdated.add(product);
    this.reading ??= after(
      20,
      () => {
        this.reading = undefined;
        // Until then, what this replica knows may be missing in Redis.
        if (!this.synced) return;
        for (const one of this.outdated) void this.readNow(one).catch(() => undefined);
        this.outdated.clear();
      },
      { background: true },
    );
  }

  private async readNow(product: string): Promise<void> {
    this.apply(product, await this.link.call('HGETALL', this.link.key(product, 'rollouts')));
  }

  /** Takes over what Redis has, with the changes that it does not have yet. */
  private apply(product: string, answer: unknown): void {
    const fields = Array.isArray(answer)
      ? answer.map(String)
      : Object.entries(answer ?? {})
          .flat()
          .map(String);
    const records = recordsIn(fields);
    const unwritten = this.unwritten.get(product);
    changedBy(records, unwritten?.sent?.changes ?? []);
    changedBy(records, unwritten?.changes.all() ?? []);
    let isNew = false;
    for (const key of this.keysOf(product)) {
      if (records.has(key)) continue;
      this.drop(product, key);
      isNew = true;
    }
    for (const [key, record] of records) {
      if (JSON.stringify(this.find(product, key)) === JSON.stringify(record)) continue;
      this.replace(product, key, record);
      isNew = true;
    }
    if (isNew) this.changes.next(product);
  }
}
