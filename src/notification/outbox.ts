import { Logger } from '@nestjs/common';
import pLimit from 'p-limit';
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../errors.js';
import type { NotificationMeter } from '../metrics/index.js';
import { payloadOf, type Notifier, type ReleaseNotice } from './notifier.js';

/** What the outbox asks of the releases, when it learns what devices were told before. */
export interface KnownReleases {
  /** What every known device should have been told. */
  notices(): Iterable<ReleaseNotice>;
  /** Has a device looked at that was told something, but that nobody has asked for since the start. */
  look(device: string): void;
}

interface Pending {
  readonly notice: ReleaseNotice;
  readonly sinceMs: number;
}

/** Notices on their way at once: a broker confirms each. */
const CONCURRENCY = 32;
/** A broker that confirms nothing for so long is as good as lost. */
const CONFIRM_MS = 10_000;
const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;

/** The newest notice of each device, until one notifier has confirmed it. */
export class Outbox {
  private readonly logger = new Logger('Outbox');
  private readonly pending = new Map<string, Pending>();
  private readonly stop = new AbortController();
  private readonly limit = pLimit(CONCURRENCY);
  private told = new Map<string, string>();
  private isOpen = false;
  private failures = 0;
  private wake: () => void = () => undefined;
  private work: Promise<void> | undefined;

  constructor(
    private readonly notifier: Notifier,
    private readonly releases: KnownReleases,
    private readonly meter: NotificationMeter,
  ) {
    meter.observe(notifier.name, () => ({ pending: this.pending.size, connected: this.isOpen }));
    notifier.lost.subscribe(() => {
      this.isOpen = false;
      this.wake();
    });
  }

  start(): void {
    this.work = this.run();
  }

  /** Ends; what is pending gets `graceMs` to be confirmed. */
  async end(graceMs: number): Promise<void> {
    const deadline = performance.now() + graceMs;
    while (this.isOpen && this.pending.size > 0 && performance.now() < deadline) await delay(20);
    this.stop.abort();
    this.wake();
    await this.work;
    await this.notifier.close();
  }

  /**
   * Takes a notice in the place of an older one of the device.
   *
   * @param isFirst nothing was known of the device before: then it is told only when it was not told the same already
   */
  offer(notice: ReleaseNotice, isFirst: boolean): void {
    this.pending.delete(notice.device);
    if (isFirst && this.isOpen && this.told.get(notice.device) === payloadOf(notice)) return;
    if (!isFirst) this.told.delete(notice.device);
    this.pending.set(notice.device, { notice, sinceMs: performance.now() });
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
      const kept = await this.notifier.open(this.stop.signal);
      this.isOpen = true;
      if (kept) this.reconcile(kept);
      this.logger.log({
        event: 'notifier.connected',
        notifier: this.notifier.name,
        told: kept?.size,
        failures: this.failures,
      });
      return true;
    } catch (error) {
      await this.failed(error);
      return false;
    }
  }

  /** The other side may have lost what it confirmed, or have been told by another replica: what it has now counts. */
  private reconcile(kept: ReadonlyMap<string, string>): void {
    this.told = new Map(kept);
    for (const [device, { notice }] of this.pending)
      if (kept.get(device) === payloadOf(notice)) this.pending.delete(device);
    const known = new Set<string>();
    for (const notice of this.releases.notices()) {
      known.add(notice.device);
      if (!this.pending.has(notice.device) && kept.get(notice.device) !== payloadOf(notice)) this.offer(notice, true);
    }
    for (const device of kept.keys()) if (!known.has(device)) this.releases.look(device);
  }

  private async deliver(): Promise<void> {
    const batch = [...this.pending.values()];
    const outcomes = await Promise.allSettled(batch.map((entry) => this.limit(() => this.hand(entry))));
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure) await this.failed(failure.reason);
    else this.failures = 0;
  }

  private async hand(entry: Pending): Promise<void> {
    const { notice, sinceMs } = entry;
    // A newer one has taken its place, or the connection is gone: its turn comes again.
    if (!this.isOpen || this.pending.get(notice.device) !== entry) return;
    try {
      await this.notifier.publish(notice, AbortSignal.any([this.stop.signal, AbortSignal.timeout(CONFIRM_MS)]));
      this.meter.told(this.notifier.name, (performance.now() - sinceMs) / 1000);
    } catch (error) {
      this.meter.failed(this.notifier.name);
      throw error;
    }
    this.told.set(notice.device, payloadOf(notice));
    if (this.pending.get(notice.device) === entry) this.pending.delete(notice.device);
  }

  /** Says the first failure of a row, and waits longer after each. */
  private async failed(error: unknown): Promise<void> {
    if (this.hasEnded()) return;
    const line = {
      event: 'notifier.failed',
      notifier: this.notifier.name,
      pending: this.pending.size,
      reason: reasonOf(error),
    };
    if (this.failures++ === 0) this.logger.warn(line);
    else this.logger.debug(line);
    const waitMs =
      Math.min(MIN_BACKOFF_MS * 2 ** Math.min(this.failures - 1, 10), MAX_BACKOFF_MS) * (1 - Math.random() / 4);
    await delay(waitMs, undefined, { signal: this.stop.signal }).catch(() => undefined);
  }
}
