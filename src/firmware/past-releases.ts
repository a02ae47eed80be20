import { Logger } from '@nestjs/common';
import { OtaError, explained } from '../errors.js';
import { narrowed, recalled } from '../registry/index.js';
import { dateAfter, type Release } from './release.js';
import type { Found, ReleaseFinder } from './release-finder.js';
import type { Kept, ReleaseMemory } from './release-memory.js';

/** Searches that are kept, so that they can be made again after a start while the registry is away. */
export class PastReleases {
  private readonly logger = new Logger('ReleaseService');

  constructor(
    private readonly memory: ReleaseMemory,
    private readonly finder: ReleaseFinder,
    private readonly isTooOld: (ageMs: number) => boolean,
  ) {}

  /**
   * What `find` finds for `device`, kept when it is another one than `known`. Rejects as `find` does.
   *
   * @param told what was found, before it is written anywhere: a notice must not wait for a disk
   */
  async search(
    device: string,
    known: Release | undefined,
    find: () => Promise<Found>,
    told: (found: Found) => void,
  ): Promise<Release> {
    // Before the search: no key may be taken away between its end and what is told.
    const kept = known ? undefined : await this.memory.recall(device);
    const { result, answers } = await this.memory.record(find);
    const release = dated(result.release, kept);
    told({ ...result, release });
    if (release === known) await this.memory.confirm(device);
    else await this.memory.keep(release, narrowed(answers, this.finder.repositoryOf(device), release.tag));
    return release;
  }

  /**
   * What to serve of a device without a release instead of the failure to find one: while the registry cannot be asked,
   * refuses or answers wrongly, what was current before the start, and how long ago that was confirmed. Where the
   * registry has said that there is none, what was kept is forgotten: a later start must not bring it back.
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

  /** Found and judged again in what the registry answered; undefined when nothing is kept that may be served. */
  private async recall(device: string, signal: AbortSignal): Promise<{ release: Release; ageMs: number } | undefined> {
    const kept = await this.memory.recall(device);
    if (!kept) return undefined;
    const ageMs = Math.max(Date.now() - kept.confirmedAtMs, 0);
    if (this.isTooOld(ageMs)) return undefined;
    try {
      const found = await recalled(kept.answers, () => this.finder.current(device, undefined, signal));
      const release = dated(found.release, kept);
      this.logger.log({
        event: 'release.recalled',
        device,
        version: release.version,
        ageSeconds: Math.round(ageMs / 1000),
      });
      return { release, ageMs };
    } catch (error) {
      this.logger.warn({ event: 'release.not_recalled', device, ...explained(error) });
      // What the registry says later is judged by itself.
      this.finder.judgeAnew(device);
      return undefined;
    }
  }

  /** Nothing of `device` is to be served any more. */
  async forget(device: string): Promise<void> {
    await this.memory.forget(device);
  }
}

/** `release` with the date that it had before the start, or one that is later than that of the release that was kept. */
function dated(release: Release, kept: Kept | undefined): Release {
  if (kept?.currentSince === undefined) return release;
  const isSame = kept.version === release.version && kept.manifestDigest === release.manifestDigest;
  return release.datedFrom(isSame ? kept.currentSince : dateAfter(kept.currentSince));
}
