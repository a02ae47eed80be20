import { Logger } from '@nestjs/common';
import { AsyncLocalStorage } from 'node:async_hooks';
import pLimit, { type LimitFunction } from 'p-limit';
import { linked } from '../abort.js';
import { backoffMs } from '../backoff.js';
import { explained } from '../errors.js';
import type { NotificationMeter } from '../metrics/index.js';
import { after, delay } from '../timers.js';
import { traced } from '../tracing.js';
import { KeptNotices } from './kept-notices.js';
import { NotNow, payloadOf, Undeliverable, type Notifier, type ReleaseNotice } from './notifier.js';
import type { StateDirectory, ToldFile } from './told-file.js';

/** What the outbox asks of the releases, when it learns what devices were told before. */
export interface KnownReleases {
  /** What every known device should have been told. */
  notices(): Iterable<ReleaseNotice>;
  /**
   * Has devices looked at that were told something, but that nobody has asked for since the start. Resolves to those
   * that turn out to have no release any more; the others' changes are told like any other.
   */
  look(devices: readonly string[]): Promise<ReleaseNotice[]>;
}

interface Pending {
  readonly notice: ReleaseNotice;
  readonly sinceMs: number;
  /** The device was told the same before, of other bytes: that the other side has it already says nothing. */
  readonly isRepeat: boolean;
  /** Runs work as a part of what the notice came from: its trace, its request. */
  readonly within: <T>(work: () => T) => T;
}

/** A broker that confirms nothing for so long is as good as lost. */
const CONFIRM_MS = 10_000;
const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
const UNREMEMBERED =
  'the receiver cannot say which messages it has, and STATE_DIR is not set: after a restart, all messages are sent again. Set STATE_DIR';

/** The newest notice of each device, until one notifier has confirmed it. */
export class Outbox {
  private readonly logger = new Logger('Outbox');
  private readonly pending = new Map<string, Pending>();
  private readonly stop = new AbortController();
  private readonly limit: LimitFunction;
  /** Those who wait for the next confirmation of a device. */
  private readonly waiters = new Map<string, Set<() => void>>();
  private told = new Map<string, string>();
  private memory: ToldFile | undefined;
  private isOpen = false;
  private wasOpen = false;
  private failures = 0;
  private wake: () => void = () => undefined;
  private work: Promise<void> | undefined;

  constructor(
    private readonly notifier: Notifier,
    private readonly releases: KnownReleases,
    private readonly meter: NotificationMeter,
    private readonly state: StateDirectory,
  ) {
    this.limit = pLimit(notifier.concurrency);
    meter.observe(notifier.name, () => ({ pending: this.pending.size, connected: this.isOpen }));
    notifier.lost.subscribe(() => {
      this.isOpen = false;
      this.wake();
    });
  }

  get name(): string {
    return this.notifier.name;
  }

  /** Devices whose newest notice is not confirmed yet. */
  isPending(device: string): boolean {
    return this.pending.has(device);
  }

  start(): void {
    this.work = this.run();
  }

  /**
   * Ends; what is pending gets `graceMs` to be confirmed. A receiver that failed last is not waited for: a webhook that is
   * down would hold up every restart for the whole time.
   */
  async end(graceMs: number): Promise<void> {
    const deadline = performance.now() + graceMs;
    const mayConfirm = (): boolean => this.isOpen && this.failures === 0 && this.pending.size > 0;
    while (mayConfirm() && performance.now() < deadline) await delay(20);
    this.stop.abort();
    this.wake();
    await this.work;
    await this.notifier.close();
    await this.memory?.close();
  }

  /**
   * Takes a notice in the place of an older one of the device.
   *
   * @param isFirst nothing was known of the device before: then it is told only when it was not told the same already
   * @param sinceMs when its change became known, on the clock of `performance.now()`
   */
  offer(notice: ReleaseNotice, isFirst: boolean, sinceMs = performance.now()): void {
    const { device } = notice;
    const payload = payloadOf(notice);
    const older = this.pending.get(device);
    const isTold = this.told.get(device) === payload;
    if (isFirst && isTold && (this.isOpen || this.memory)) {
      this.pending.delete(device);
      return;
    }
    const isRepeat =
      !isFirst && (isTold || (older !== undefined && older.isRepeat && payloadOf(older.notice) === payload));
    // From now on the other side may have got this one, confirmed or not.
    if (!isFirst) this.told.delete(device);
    this.put({ notice, sinceMs, isRepeat, within: AsyncLocalStorage.snapshot() });
  }

  /** Tells a notice though it was told before; resolves to whether it was confirmed within `patienceMs`. */
  again(notice: ReleaseNotice, patienceMs: number): Promise<boolean> {
    const { device } = notice;
    const waiters = this.waiters.get(device) ?? new Set();
    this.waiters.set(device, waiters);
    return new Promise((resolve) => {
      const end = (isConfirmed: boolean): void => {
        timer.stop();
        waiters.delete(onConfirmed);
        if (waiters.size === 0) this.waiters.delete(device);
        resolve(isConfirmed);
      };
      const onConfirmed = (): void => {
        end(true);
      };
      const timer = after(patienceMs, () => {
        end(false);
      });
      waiters.add(onConfirmed);
      this.put({ notice, sinceMs: performance.now(), isRepeat: true, within: AsyncLocalStorage.snapshot() });
    });
  }

  private put(entry: Pending): void {
    this.pending.delete(entry.notice.device);
    this.pending.set(entry.notice.device, entry);
    this.wake();
  }

  private hasEnded(): boolean {
    return this.stop.signal.aborted;
  }

  private async run(): Promise<void> {
    while (!this.hasEnded()) {
      if (!this.isOpen && !(await this.open())) continue;
      if (this.pending.size > 0) await this.deliver();
      // Not when the end came while it was opened: nobody would wake it any more.
      else if (!this.hasEnded()) await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** Whether the notifier can be handed notices now; waits after a failure. */
  private async open(): Promise<boolean> {
    try {
      const kept = await this.readKept();
      this.isOpen = this.wasOpen = true;
      if (kept) this.reconcile(kept);
      this.logger.log({
        event: 'notifier.connected',
        notifier: this.notifier.name,
        told: kept?.size,
        foreign: kept?.foreign,
        failures: this.failures,
      });
      if (this.pending.size === 0) this.failures = 0;
      return true;
    } catch (error) {
      await this.failed(error);
      return false;
    }
  }

  /** What the other side keeps, else what our own memory tells. Whoever wrote it, it is checked here. */
  private async readKept(): Promise<KeptNotices | undefined> {
    const kept = (await this.notifier.open(this.stop.signal)) ?? (await this.recall());
    return kept && KeptNotices.of(kept);
  }

  /**
   * What our own memory tells, where the other side keeps nothing. It counts at the start only: later, what was on its
   * way when the connection was lost may have arrived without our knowing.
   */
  private async recall(): Promise<KeptNotices | undefined> {
    if (this.wasOpen) return undefined;
    this.memory = await this.state.open(this.notifier.memory);
    if (!this.memory) this.logger.warn({ event: 'notices.unremembered', notifier: this.name, reason: UNREMEMBERED });
    return this.memory?.told;
  }

  /** The other side may have lost what it confirmed, or have been told by another replica: what it has now counts. */
  private reconcile(kept: KeptNotices): void {
    this.told = new Map(kept);
    for (const [device, entry] of this.pending)
      if (!entry.isRepeat && kept.get(device) === payloadOf(entry.notice)) this.pending.delete(device);
    const known = new Set<string>();
    for (const notice of this.releases.notices()) {
      known.add(notice.device);
      if (!this.pending.has(notice.device) && kept.get(notice.device) !== payloadOf(notice)) this.offer(notice, true);
    }
    const unknown = [...kept.devices].filter((device) => !known.has(device));
    if (unknown.length > 0) void this.lookAt(unknown);
  }

  private async lookAt(devices: readonly string[]): Promise<void> {
    for (const notice of await this.releases.look(devices))
      if (!this.pending.has(notice.device)) this.offer(notice, false);
  }

  private async deliver(): Promise<void> {
    const batch = [...this.pending.values()];
    const outcomes = await Promise.allSettled(batch.map((entry) => this.limit(() => this.hand(entry))));
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    if (failures.length === 0) this.failures = 0;
    // The one that says how long to wait, if one does.
    else await this.failed(failures.find((failure) => failure instanceof NotNow) ?? failures[0]);
  }

  private async hand(entry: Pending): Promise<void> {
    const { notice, sinceMs } = entry;
    // A newer one has taken its place, or the connection is gone: its turn comes again.
    if (!this.isOpen || this.pending.get(notice.device) !== entry) return;
    try {
      const attributes = { notifier: this.name, device: notice.device };
      await linked([this.stop.signal], CONFIRM_MS, (signal) =>
        entry.within(() => traced('otaflux.publish', attributes, () => this.notifier.publish(notice, signal))),
      );
      this.meter.told(this.notifier.name, (performance.now() - sinceMs) / 1000);
    } catch (error) {
      this.meter.failed(this.notifier.name);
      if (!(error instanceof Undeliverable)) throw error;
      this.giveUp(entry, error.message);
      return;
    }
    this.told.set(notice.device, payloadOf(notice));
    await this.memory?.note(notice.device, payloadOf(notice));
    if (this.pending.get(notice.device) === entry) this.pending.delete(notice.device);
    for (const confirmed of this.waiters.get(notice.device) ?? []) confirmed();
  }

  private giveUp(entry: Pending, reason: string): void {
    const { device } = entry.notice;
    this.logger.error({ event: 'notice.given_up', notifier: this.name, device, reason });
    if (this.pending.get(device) === entry) this.pending.delete(device);
  }

  /** Says the first failure of a row, and waits longer after each. */
  private async failed(error: unknown): Promise<void> {
    if (this.hasEnded()) return;
    const line = {
      event: 'notifier.failed',
      notifier: this.notifier.name,
      pending: this.pending.size,
      ...explained(error),
    };
    if (this.failures++ === 0) this.logger.warn(line);
    else this.logger.debug(line);
    const waitMs = Math.max(
      backoffMs(this.failures, MIN_BACKOFF_MS, MAX_BACKOFF_MS),
      error instanceof NotNow ? error.waitMs : 0,
    );
    await delay(waitMs, this.stop.signal).catch(() => undefined);
  }
}
