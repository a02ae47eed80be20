import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import type { Subscription } from 'rxjs';
import { Settings } from '../config/index.js';
import { ReleaseService, type Release } from '../firmware/index.js';
import { NotificationMeter } from '../metrics/index.js';
import type { Notifier, ReleaseNotice } from './notifier.js';
import { Outbox, type KnownReleases } from './outbox.js';

/** The token of the list of notifiers. */
export const NOTIFIERS = Symbol('notifiers');

/** Tells every notifier of every change of a device's current release. */
@Injectable()
export class NotificationService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly outboxes: readonly Outbox[];
  private subscription: Subscription | undefined;

  constructor(
    @Inject(NOTIFIERS) notifiers: readonly Notifier[],
    private readonly releases: ReleaseService,
    private readonly settings: Settings,
    meter: NotificationMeter,
  ) {
    const known: KnownReleases = {
      notices: () => noticesOf(releases.knownReleases()),
      // Its change, if there was one, is told like any other.
      look: (device) => void releases.refresh(device).catch(() => undefined),
    };
    this.outboxes = notifiers.map((notifier) => new Outbox(notifier, known, meter));
  }

  onApplicationBootstrap(): void {
    this.subscription = this.releases.changes.subscribe(({ device, before, after }) => {
      for (const outbox of this.outboxes) outbox.offer(noticeOf(device, after), before === undefined);
    });
    for (const outbox of this.outboxes) outbox.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.outboxes.map((outbox) => outbox.end(this.settings.shutdownGrace)));
    this.subscription?.unsubscribe();
  }
}

function noticeOf(device: string, release: Release | undefined): ReleaseNotice {
  return { device, release: release && { version: release.version, sizeBytes: release.firmware.sizeBytes } };
}

function* noticesOf(releases: Iterable<Release>): Iterable<ReleaseNotice> {
  for (const release of releases) yield noticeOf(release.device, release);
}
