import { Logger } from '@nestjs/common';
import { OtaError, reasonOf } from '../errors.js';
import { narrowed, recalled } from '../registry/index.js';
import type { Release } from './release.js';
import type { Found, ReleaseFinder } from './release-finder.js';
import type { ReleaseMemory } from './release-memory.js';

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
    const { result, answers } = await this.memory.record(find);
    const { release } = result;
    told(result);
    if (release === known) await this.memory.confirm(device);
    else await this.memory.keep(device, narrowed(answers, this.finder.repositoryOf(device), release.tag));
    return release;
  }

  /**
   * What to serve of a device without a release instead of the failure to find one: while the registry is away, what was
   * current before the start, and how long ago that was confirmed. Where the registry has said that there is none, what
   * was kept is forgotten: a later start must not bring it back.
   */
  async instead(
    device: string,
    failure: OtaError,
    signal: AbortSignal,
  ): Promise<{ release: Release; ageMs: number } | undefined> {
    if (failure.code === 'unavailable') return this.recall(device, signal);
    if (OtaError.isAnswer(failure)) await this.forget(device);
    return undefined;
  }

  /** Found and judged again in what the registry answered; undefined when nothing is kept that may be served. */
  private async recall(device: string, signal: AbortSignal): Promise<{ release: Release; ageMs: number } | undefined> {
    const kept = await this.memory.recall(device);
    if (!kept) return undefined;
    const ageMs = Math.max(Date.now() - kept.confirmedAtMs, 0);
    if (this.isTooOld(ageMs)) return undefined;
    try {
      const { release } = await recalled(kept.answers, () => this.finder.current(device, undefined, signal));
      this.logger.log({ event: 'release.recalled', device, version: release.version, ageSeconds: ageMs / 1000 });
      return { release, ageMs };
    } catch (error) {
      this.logger.warn({ event: 'release.not_recalled', device, reason: reasonOf(error) });
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
