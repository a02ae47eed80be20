import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import type { Subscription } from 'rxjs';
import { ReleaseService, type Release } from '../firmware/index.js';
import { NotificationMeter } from '../metrics/index.js';
import { GraceTime } from '../settings/index.js';
import type { Notifier, ReleaseNotice } from './notifier.js';
import { Outbox, type KnownReleases } from './outbox.js';
import { ToldDevices } from './told-devices.js';
import { StateDirectory } from './told-file.js';

/** Injection token of the list of notifiers. */
export const NOTIFIERS = Symbol('notifiers');

/** How long a resent notice may take to be confirmed. */
const PATIENCE_MS = 5_000;

/**
 * Passes every change of a device's current release to every notifier.
 *
 * @publicApi
 */
@Injectable()
export class NotificationService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly outboxes: readonly Outbox[];
  private readonly stop = new AbortController();
  private subscription: Subscription | undefined;

  /** @internal Created by Nest. */
  constructor(
    @Inject(NOTIFIERS) notifiers: readonly Notifier[],
    private readonly releases: ReleaseService,
    private readonly graceTime: GraceTime,
    state: StateDirectory,
    meter: NotificationMeter,
  ) {
    const told = new ToldDevices(releases, this.stop.signal);
    const known: KnownReleases = {
      notices: () => noticesOf(releases.knownReleases()),
      look: async (devices) => (await told.look(devices)).map((device) => noticeOf(device, undefined)),
    };
    this.outboxes = notifiers.map((notifier) => new Outbox(notifier, known, meter, state));
  }

  onApplicationBootstrap(): void {
    this.subscription = this.releases.changes.subscribe(({ device, before, after, sinceMs }) => {
      for (const outbox of this.outboxes) outbox.offer(noticeOf(device, after), before === undefined, sinceMs);
    });
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
    await Promise.all(this.outboxes.map((outbox) => outbox.end(this.graceTime.leftMs)));
    this.subscription?.unsubscribe();
  }
}

function noticeOf(device: string, release: Release | undefined): ReleaseNotice {
  return { device, release: release && { version: release.version, sizeBytes: release.firmware.sizeBytes } };
}

function* noticesOf(releases: Iterable<Release>): Iterable<ReleaseNotice> {
  for (const release of releases) yield noticeOf(release.device, release);
}
