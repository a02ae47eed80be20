import { Logger } from '@nestjs/common';
import { explained } from '../errors.js';
import type { Release } from '../firmware/index.js';
import type { Announcement } from '../rollout/index.js';
import { after, type Timer } from '../timers.js';
import { nameOf, payloadOf, type ReleaseNotice } from './notifier.js';

/** Firmware that could not be downloaded is tried again after this time. */
const RETRY_MS = 10_000;

/** What channel notices need of the rest. */
export interface ChannelSource {
  /** Returns what is announced of each channel of a product. */
  announcements(product: string): readonly Announcement[];
  /** Returns the release of what is announced. */
  deliver(entry: NonNullable<Announcement['offered']>['entry']): Release | Promise<Release>;
  /** Returns whether there is a product with the name of a notice: then the topic belongs to it. */
  isProduct(name: string): boolean;
}

/** The notices about the channels of all plans. */
export class ChannelNotices {
  private readonly logger = new Logger('ChannelNotices');
  /** By product and channel. */
  private readonly known = new Map<string, Map<string, ReleaseNotice>>();
  private readonly updates = new Map<string, Promise<void>>();
  private readonly retries = new Map<string, Timer>();

  /** @param changed called with each notice that is another one than before */
  constructor(
    private readonly source: ChannelSource,
    private readonly changed: (notice: ReleaseNotice, isFirst: boolean) => void,
  ) {}

  /** Returns the notices of all channels with a release. */
  *all(): Iterable<ReleaseNotice> {
    for (const channels of this.known.values())
      for (const notice of channels.values()) if (notice.release) yield notice;
  }

  /** Returns the notice of a channel, or undefined if nothing is announced of it. */
  find(product: string, channel: string): ReleaseNotice | undefined {
    return this.known.get(product)?.get(channel);
  }

  /** Looks what is announced of a product now. Never rejects. Updates of a product are made one after the other. */
  async update(product: string): Promise<void> {
    const before = this.updates.get(product);
    const update = (async () => {
      await before;
      await this.updateNow(product);
    })();
    this.updates.set(product, update);
    await update;
    if (this.updates.get(product) === update) this.updates.delete(product);
  }

  /** Ends retries. */
  stop(): void {
    for (const timer of this.retries.values()) timer.stop();
    this.retries.clear();
  }

  private async updateNow(product: string): Promise<void> {
    const announcements = this.source.announcements(product);
    const channels = this.known.get(product) ?? new Map<string, ReleaseNotice>();
    for (const channel of [...channels.keys()])
      if (!announcements.some((one) => one.channel === channel))
        this.note(channels, { device: product, channel, release: undefined });
    for (const { channel, offered } of announcements) {
      try {
        const release = offered && (await this.source.deliver(offered.entry));
        this.note(channels, {
          device: product,
          channel,
          release: release && {
            version: release.version,
            sizeBytes: release.firmware.sizeBytes,
            percent: offered?.percent,
          },
        });
      } catch (error) {
        this.logger.debug({ event: 'notice.waits', device: product, channel, ...explained(error) });
        this.retry(product);
      }
    }
    if (channels.size > 0) this.known.set(product, channels);
    else this.known.delete(product);
  }

  private note(channels: Map<string, ReleaseNotice>, notice: ReleaseNotice): void {
    const { channel = '' } = notice;
    const before = channels.get(channel);
    if (payloadOf(before ?? { ...notice, release: undefined }) === payloadOf(notice)) return;
    if (this.source.isProduct(nameOf(notice))) return;
    if (notice.release) channels.set(channel, notice);
    else channels.delete(channel);
    this.changed(notice, before === undefined);
  }

  private retry(product: string): void {
    if (this.retries.has(product)) return;
    const again = (): void => {
      this.retries.delete(product);
      void this.update(product);
    };
    this.retries.set(product, after(RETRY_MS, again, { background: true }));
  }
}
