import { Logger } from '@nestjs/common';
import type { Clock } from '../clock.js';
import { OtaError, explained } from '../errors.js';
import { narrowed, recalled } from '../registry/index.js';
import { dateAfter, type Release } from './release.js';
import type { Found, ReleaseFinder } from './release-finder.js';
import type { Kept, ReleaseMemory } from './release-memory.js';

/**
 * Searches that are stored on disk, so that they can be repeated after a start while the registry cannot be reached.
 */
export class PastReleases {
  private readonly logger = new Logger('ReleaseService');

  constructor(
    private readonly memory: ReleaseMemory,
    private readonly finder: ReleaseFinder,
    private readonly isTooOld: (ageMs: number) => boolean,
    private readonly clock: Clock,
  ) {}

  /**
   * Returns the result of `find` for `device`, and stores the search if the release is not `known`. Rejects like
   * `find`.
   *
   * @param told called with the result before it is written to the disk, so that a notice does not wait for the disk
   */
  async search(
    device: string,
    known: Release | undefined,
    find: () => Promise<Found>,
    told: (found: Found) => void,
  ): Promise<Release> {
    // Before the search: no key must be removed between the end of the search and the call of `told`.
    const kept = known ? undefined : await this.memory.recall(device);
    const { result, answers } = await this.memory.record(find);
    const release = dated(result.release, kept, this.clock.nowMs());
    told({ ...result, release });
    if (release.isUnchanged(known)) await this.memory.confirm(device);
    else await this.memory.keep(release, narrowed(answers, this.finder.repositoryOf(device), release.tag));
    return release;
  }

  /**
   * Returns the release to serve for a device without a release after `failure`: the release that was current before
   * the start, and how long ago it was confirmed. Returns undefined if the registry has answered that there is none.
   * Then the stored search is dropped, so that a later start does not use it.
   */
  async instead(
    device: string,
    failure: OtaError,
    signal: AbortSignal,
  ): Promise<{ release: Release; ageMs: number } | undefined> {
    if (!OtaError.isAnswer(failure)) return this.recall(device, signal);
    await this.forget(device);
    return undefined;
  }

  /**
   * Repeats the stored search, and verifies the result again. Returns undefined if nothing is stored that may be
   * served.
   */
  private async recall(device: string, signal: AbortSignal): Promise<{ release: Release; ageMs: number } | undefined> {
    const kept = await this.memory.recall(device);
    if (!kept) return undefined;
    const ageMs = Math.max(this.clock.nowMs() - kept.confirmedAtMs, 0);
    if (this.isTooOld(ageMs)) return undefined;
    try {
      const found = await recalled(kept.answers, () => this.finder.current(device, undefined, signal));
      const release = dated(found.release, kept, this.clock.nowMs());
      this.logger.log({
        event: 'release.recalled',
        device,
        version: release.version,
        ageSeconds: Math.round(ageMs / 1000),
      });
      return { release, ageMs };
    } catch (error) {
      this.logger.warn({ event: 'release.not_recalled', device, ...explained(error) });
      // Later answers of the registry do not depend on it.
      this.finder.verifyAnew(device);
      return undefined;
    }
  }

  /** Drops the stored search of `device`. */
  async forget(device: string): Promise<void> {
    await this.memory.forget(device);
  }
}

/**
 * Returns `release` with the date that it had before the start. If another release was stored, the date is later than
 * the stored one.
 */
function dated(release: Release, kept: Kept | undefined, nowMs: number): Release {
  if (kept?.currentSince === undefined) return release;
  const isSame = kept.version === release.version && kept.manifestDigest === release.manifestDigest;
  return release.datedFrom(isSame ? kept.currentSince : dateAfter(kept.currentSince, nowMs));
}
