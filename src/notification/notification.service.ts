import {
  Inject,
  Injectable,
  Optional,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { map, merge, type Subscription } from 'rxjs';
import { ReleaseService, type Release } from '../firmware/index.js';
import { NotificationMeter } from '../metrics/index.js';
import { Announcing, RolloutRunner } from '../rollout/index.js';
import { Alone, Replicas } from '../replicas/index.js';
import { GraceTime } from '../settings/index.js';
import { ChannelNotices } from './channel-notices.js';
import type { ChannelName } from './kept-notices.js';
import type { Notifier, ReleaseNotice } from './notifier.js';
import { NoticeClaims } from './notice-claims.js';
import { Outbox, type KnownReleases } from './outbox.js';
import { ToldDevices } from './told-devices.js';
import { StateDirectory } from './told-file.js';

/** Injection token of the list of notifiers. */
export const NOTIFIERS = Symbol('notifiers');

/** How long a resent notice may take to be confirmed. */
const PATIENCE_MS = 5_000;

/**
 * Passes every change of a device's current release, and of what its channels are offered, to every notifier.
 *
 * @publicApi
 */
@Injectable()
export class NotificationService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly outboxes: readonly Outbox[];
  private readonly channels: ChannelNotices;
  private readonly sendsChannels: boolean;
  private readonly stop = new AbortController();
  private subscription: Subscription | undefined;

  /** @internal Created by Nest. */
  constructor(
    @Inject(NOTIFIERS) notifiers: readonly Notifier[],
    private readonly releases: ReleaseService,
    private readonly graceTime: GraceTime,
    state: StateDirectory,
    meter: NotificationMeter,
    announcing: Announcing,
    private readonly runner: RolloutRunner,
    @Optional() replicas: Replicas = new Alone(),
  ) {
    const told = new ToldDevices(releases, this.stop.signal);
    const known: KnownReleases = {
      notices: () => this.notices(),
      look: async (devices, channels) => {
        const gone = await told.look([...new Set([...devices, ...channels.map(({ device }) => device)])]);
        const left = await Promise.all(channels.map((channel) => this.withoutRelease(channel, gone)));
        return [
          ...gone.filter((device) => devices.includes(device)).map((device) => noticeOf(device, undefined)),
          ...left.flat(),
        ];
      },
    };
    const claims = new NoticeClaims(replicas);
    this.outboxes = notifiers.map((notifier) => new Outbox(notifier, known, meter, state, claims));
    this.sendsChannels = notifiers.some(({ sendsChannels }) => sendsChannels);
    this.channels = new ChannelNotices(
      {
        announcements: (product) => announcing.of(product),
        deliver: (entry) => releases.deliver(entry),
        isProduct: (name) => releases.knows(name),
      },
      (notice, isFirst) => {
        for (const outbox of this.outboxes) outbox.offer(notice, isFirst);
      },
    );
  }

  onApplicationBootstrap(): void {
    this.subscription = this.releases.changes.subscribe(({ device, before, after, sinceMs }) => {
      for (const outbox of this.outboxes)
        outbox.offer(noticeOf(device, after), before === undefined, sinceMs, after?.manifestDigest);
    });
    if (this.sendsChannels) {
      const plans = merge(this.releases.planChanges, this.runner.events.pipe(map(({ product }) => product)));
      this.subscription.add(plans.subscribe((product) => void this.channels.update(product)));
    }
    for (const outbox of this.outboxes) outbox.start();
  }

  /** Sends a release again. Resolves to the notifiers by name, and whether each has confirmed within five seconds. */
  async tellAgain(release: Release): Promise<Record<string, boolean>> {
    const notice = noticeOf(release.device, release);
    const confirmed = this.outboxes.map(
      async (outbox) => [outbox.name, await outbox.again(notice, PATIENCE_MS)] as const,
    );
    return Object.fromEntries(await Promise.all(confirmed));
  }

  /** Returns the names of the notifiers that have not confirmed the newest notice of `device` yet. */
  pendingOf(device: string): string[] {
    return this.outboxes.filter((outbox) => outbox.isPending(device)).map(({ name }) => name);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stop.abort();
    this.channels.stop();
    await Promise.all(this.outboxes.map((outbox) => outbox.end(this.graceTime.leftMs)));
    this.subscription?.unsubscribe();
  }

  private *notices(): Iterable<ReleaseNotice> {
    yield* noticesOf(this.releases.knownReleases());
    yield* this.channels.all();
  }

  /**
   * Returns the notice that a channel has no release, or none if it has one or if that is not known.
   *
   * @param gone products that have no release any more
   */
  private async withoutRelease({ device, channel }: ChannelName, gone: readonly string[]): Promise<ReleaseNotice[]> {
    await this.channels.update(device);
    if (this.channels.find(device, channel)) return [];
    const isKnown = gone.includes(device) || this.releases.knows(device);
    return isKnown ? [{ device, channel, release: undefined }] : [];
  }
}

function noticeOf(device: string, release: Release | undefined): ReleaseNotice {
  return { device, release: release && { version: release.version, sizeBytes: release.firmware.sizeBytes } };
}

function* noticesOf(releases: Iterable<Release>): Iterable<ReleaseNotice> {
  for (const release of releases) yield noticeOf(release.device, release);
}
