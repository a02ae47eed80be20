import { Logger } from '@nestjs/common';
import { AsyncLocalStorage } from 'node:async_hooks';
import pLimit, { type LimitFunction } from 'p-limit';
import { linked } from '../abort.js';
import { backoffMs } from '../backoff.js';
import { explained } from '../errors.js';
import type { NotificationMeter } from '../metrics/index.js';
import { after, delay } from '../timers.js';
import { traced } from '../tracing.js';
import { channelIn, isAboutChannel, KeptNotices, type ChannelName } from './kept-notices.js';
import { nameOf, NotNow, payloadOf, Undeliverable, type Notifier, type ReleaseNotice } from './notifier.js';
import type { NoticeClaims } from './notice-claims.js';
import type { StateDirectory, ToldFile } from './told-file.js';

/** The part of the release service that the outbox needs to compare earlier messages with current releases. */
export interface KnownReleases {
  /** Returns the notices for all devices with a release, and for the channels of their plans. */
  notices(): Iterable<ReleaseNotice>;
  /**
   * Refreshes devices that have an earlier message, but that nobody has asked for since the start. Resolves to notices
   * for those that have no release any more. Changes of the others are published as usual.
   */
  look(devices: readonly string[], channels: readonly ChannelName[]): Promise<ReleaseNotice[]>;
}

interface Pending {
  readonly notice: ReleaseNotice;
  readonly sinceMs: number;
  /**
   * The same payload was sent before, for other content: if the receiver has this payload already, that means nothing.
   */
  readonly isRepeat: boolean;
  /** Digest of the release, if it is known: a moved tag is another release with the same payload. */
  readonly digest: string | undefined;
  /** When the receiver was found to lack it, on the wall clock. */
  missingSinceMs?: number;
  /** Runs work in the context of the change: its trace and its request. */
  readonly within: <T>(work: () => T) => T;
}

/** A broker that does not confirm within this time counts as lost. */
const CONFIRM_MS = 10_000;
const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
const UNREMEMBERED =
  'the receiver cannot say which messages it has, and STATE_DIR is not set: after a restart, all messages are sent again. Set STATE_DIR';

/** Keeps the newest notice of each device and channel until one notifier has confirmed it. */
export class Outbox {
  private readonly logger = new Logger('Outbox');
  private readonly pending = new Map<string, Pending>();
  private readonly stop = new AbortController();
  private readonly limit: LimitFunction;
  /** Callers that wait for the next confirmation of a device. */
  private readonly waiters = new Map<string, Set<() => void>>();
  private told = new Map<string, string>();
  private memory: ToldFile | undefined;
  private isOpen = false;
  /** The receiver is connected or, if it has no connection, has confirmed its last message. */
  private isConnected = false;
  /** The messages that the receiver or our own file had at the last `open`. */
  private kept: KeptNotices | undefined;
  private wasOpen = false;
  private failures = 0;
  private wake: () => void = () => undefined;
  private work: Promise<void> | undefined;

  constructor(
    private readonly notifier: Notifier,
    private readonly releases: KnownReleases,
    private readonly meter: NotificationMeter,
    private readonly state: StateDirectory,
    private readonly claims: NoticeClaims,
  ) {
    this.limit = pLimit(notifier.concurrency);
    meter.observe(notifier.name, () => ({ pending: this.pending.size, connected: this.isConnected }));
    notifier.lost.subscribe(() => {
      this.isOpen = this.isConnected = false;
      this.wake();
    });
  }

  get name(): string {
    return this.notifier.name;
  }

  /** Returns whether the newest notice with a name is not confirmed yet. */
  isPending(name: string): boolean {
    return this.pending.has(name);
  }

  start(): void {
    this.work = this.run();
  }

  /**
   * Stops. Pending notices have `graceMs` to be confirmed. If the receiver failed last, it does not wait: a receiver
   * that is down would delay every restart by that time.
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
   * Queues a notice. It replaces an older one of the same device.
   *
   * @param isFirst the device had no release before: the notice is only sent if the receiver does not have the same one
   * @param sinceMs when the change was found, on the clock of `performance.now()`
   */
  offer(notice: ReleaseNotice, isFirst: boolean, sinceMs = performance.now(), digest?: string): void {
    if (notice.channel !== undefined && !this.notifier.sendsChannels) return;
    const device = nameOf(notice);
    const payload = payloadOf(notice);
    const older = this.pending.get(device);
    const isTold = this.told.get(device) === payload;
    if (isFirst && isTold && (this.isOpen || this.memory)) {
      this.pending.delete(device);
      return;
    }
    const isRepeat =
      !isFirst && (isTold || (older !== undefined && older.isRepeat && payloadOf(older.notice) === payload));
    // From now on, the receiver may have this notice, confirmed or not.
    if (!isFirst) this.told.delete(device);
    this.put({ notice, sinceMs, isRepeat, digest, within: AsyncLocalStorage.snapshot() });
  }

  /** Sends a notice again. Resolves to whether it was confirmed within `patienceMs`. */
  again(notice: ReleaseNotice, patienceMs: number): Promise<boolean> {
    const device = nameOf(notice);
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
      const now = { sinceMs: performance.now(), missingSinceMs: Date.now() };
      this.put({ notice, ...now, isRepeat: true, digest: undefined, within: AsyncLocalStorage.snapshot() });
    });
  }

  private put(entry: Pending): void {
    const name = nameOf(entry.notice);
    this.pending.delete(name);
    this.pending.set(name, entry);
    this.wake();
  }

  private hasEnded(): boolean {
    return this.stop.signal.aborted;
  }

  private async run(): Promise<void> {
    while (!this.hasEnded()) {
      if (!this.isOpen && !(await this.open())) continue;
      if (this.pending.size > 0) await this.deliver();
      // Not if it was stopped while it was opening: nothing would wake it any more.
      else if (!this.hasEnded()) await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** Returns whether the notifier accepts notices now. Waits after a failure. */
  private async open(): Promise<boolean> {
    try {
      const askedMs = Date.now();
      const kept = (this.kept = await this.readKept());
      this.isOpen = this.wasOpen = true;
      if (kept) this.reconcile(kept, this.memory ? undefined : askedMs);
      if (this.notifier.hasConnection) this.connected();
      if (this.pending.size === 0) this.failures = 0;
      return true;
    } catch (error) {
      await this.failed(error);
      return false;
    }
  }

  private connected(): void {
    if (this.isConnected) return;
    this.isConnected = true;
    this.logger.log({
      event: 'notifier.connected',
      notifier: this.notifier.name,
      announced: this.kept?.size,
      otherMessages: this.kept?.foreign,
      failures: this.failures,
    });
  }

  /**
   * Returns the messages that the receiver keeps, otherwise those of our own file. They are checked here, whoever wrote
   * them.
   */
  private async readKept(): Promise<KeptNotices | undefined> {
    const kept = (await this.notifier.open(this.stop.signal)) ?? (await this.recall());
    return kept && KeptNotices.of(kept);
  }

  /**
   * Returns the messages in our own file, if the receiver keeps none. Only used at the start: later, a message that was
   * being sent when the connection was lost may have arrived without a confirmation.
   */
  private async recall(): Promise<KeptNotices | undefined> {
    if (this.wasOpen) return undefined;
    this.memory = await this.state.open(this.notifier.memory);
    if (!this.memory) this.logger.warn({ event: 'notices.unremembered', notifier: this.name, reason: UNREMEMBERED });
    return this.memory?.told;
  }

  /**
   * Compares the messages that the receiver keeps with the current releases. The receiver may have lost confirmed
   * messages, or may have received others from another replica.
   */
  private reconcile(kept: KeptNotices, askedMs: number | undefined): void {
    this.told = new Map(kept);
    for (const [device, entry] of this.pending)
      if (!entry.isRepeat && kept.get(device) === payloadOf(entry.notice)) this.pending.delete(device);
    const known = new Set<string>();
    for (const notice of this.releases.notices()) {
      const name = nameOf(notice);
      known.add(name);
      if (!this.pending.has(name) && kept.get(name) !== payloadOf(notice)) this.offer(notice, true);
    }
    // What the receiver itself lacks is sent even if it was sent before.
    if (askedMs !== undefined) for (const entry of this.pending.values()) entry.missingSinceMs ??= askedMs;
    const devices: string[] = [];
    const channels: ChannelName[] = [];
    for (const [name, payload] of kept) {
      if (known.has(name)) continue;
      const channel = isAboutChannel(payload) ? channelIn(name) : undefined;
      if (channel) channels.push(channel);
      else devices.push(name);
    }
    if (devices.length + channels.length > 0) void this.lookAt(devices, channels);
  }

  private async lookAt(devices: readonly string[], channels: readonly ChannelName[]): Promise<void> {
    for (const notice of await this.releases.look(devices, channels))
      if (!this.pending.has(nameOf(notice))) this.offer(notice, false);
  }

  private async deliver(): Promise<void> {
    const batch = [...this.pending.values()];
    const outcomes = await Promise.allSettled(batch.map((entry) => this.limit(() => this.hand(entry))));
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    if (failures.length === 0) this.failures = 0;
    // The failure that says how long to wait, if there is one.
    else await this.failed(failures.find((failure) => failure instanceof NotNow) ?? failures[0]);
  }

  private async hand(entry: Pending): Promise<void> {
    const { notice, sinceMs } = entry;
    const name = nameOf(notice);
    // A newer notice has replaced it, or the connection is lost: it is sent later.
    if (!this.isOpen || this.pending.get(name) !== entry) return;
    try {
      const attributes = { notifier: this.name, device: name };
      const claimed = {
        key: `notice ${this.notifier.memory} ${name}`,
        content: `${payloadOf(notice)} ${entry.digest ?? ''}`,
        missingSinceMs: entry.missingSinceMs,
      };
      const isCurrent = (): boolean => this.isOpen && this.pending.get(name) === entry;
      await this.claims.send(claimed, isCurrent, this.stop.signal, () =>
        linked([this.stop.signal], CONFIRM_MS, (signal) =>
          entry.within(() => traced('otaflux.publish', attributes, () => this.notifier.publish(notice, signal))),
        ),
      );
      if (!isCurrent()) return;
      this.meter.told(this.notifier.name, (performance.now() - sinceMs) / 1000);
      this.connected();
    } catch (error) {
      this.meter.failed(this.notifier.name);
      if (!(error instanceof Undeliverable)) {
        if (!this.notifier.hasConnection) this.isConnected = false;
        throw error;
      }
      this.giveUp(entry, error.message);
      return;
    }
    this.told.set(name, payloadOf(notice));
    await this.memory?.note(name, payloadOf(notice));
    if (this.pending.get(name) === entry) this.pending.delete(name);
    for (const confirmed of this.waiters.get(name) ?? []) confirmed();
  }

  private giveUp(entry: Pending, reason: string): void {
    const device = nameOf(entry.notice);
    this.logger.error({ event: 'notice.given_up', notifier: this.name, device, reason });
    if (this.pending.get(device) === entry) this.pending.delete(device);
  }

  /** Logs the first failure in a row, and waits longer after each. */
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
