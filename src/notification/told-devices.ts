import { Logger } from '@nestjs/common';
import pLimit from 'p-limit';
import { backoffMs } from '../backoff.js';
import { delay } from '../timers.js';
import { OtaError } from '../errors.js';
import type { ReleaseService } from '../firmware/index.js';

/** Devices that are refreshed at the same time. Nobody waits for them. */
const CONCURRENCY = 8;
const MIN_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 30_000;

/** Refreshes devices that had a message before this server started, so that a change in between is published. */
export class ToldDevices {
  private readonly logger = new Logger('ToldDevices');
  private readonly limit = pLimit(CONCURRENCY);

  constructor(
    private readonly releases: ReleaseService,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Refreshes each device until the registry has answered. The release service publishes changes. Resolves to the
   * devices that have no release any more. Resolves to none if no device at all has a release, because a wrong prefix
   * has the same effect.
   */
  async look(devices: readonly string[]): Promise<string[]> {
    const gone: string[] = [];
    let left = devices;
    for (let failures = 1; left.length > 0 && !this.signal.aborted; failures++) {
      const unanswered: string[] = [];
      await Promise.all(left.map((device) => this.limit(() => this.lookAt(device, gone, unanswered))));
      left = unanswered;
      if (left.length > 0) await this.pause(backoffMs(failures, MIN_BACKOFF_MS, MAX_BACKOFF_MS));
    }
    if (gone.length === 0 || this.signal.aborted) return [];
    if (this.releases.knownCount === 0) {
      this.logger.warn({
        event: 'notices.kept',
        devices: gone.length,
        reason: 'none of the devices in the messages of the broker has a release. Check REPOSITORY_PREFIX',
      });
      return [];
    }
    return gone.filter((device) => !this.releases.hasRelease(device));
  }

  private async lookAt(device: string, gone: string[], unanswered: string[]): Promise<void> {
    if (this.signal.aborted) return;
    try {
      await this.releases.refresh(device);
    } catch (error) {
      const { code } = OtaError.from(error, 'unavailable', device);
      if (code === 'unavailable') unanswered.push(device);
      // A missing permission or a wrong answer does not mean that the release was deleted.
      else if (code === 'absent') gone.push(device);
    }
  }

  private pause(ms: number): Promise<void> {
    return delay(ms, this.signal).catch(() => undefined);
  }
}
