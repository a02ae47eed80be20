import { OtaError } from '../errors.js';
import { MAX_PASSED_OVER } from './passed-over.js';
import { NoFirmware } from './no-firmware.js';
import type { ReleaseFinder } from './release-finder.js';
import type { Release } from './release.js';
import type { Search } from './search.js';
import type { Candidate } from './select-version.js';

/** The newest release, and the number of newer versions that are not trusted. */
export interface Newest {
  readonly release: Release;
  readonly passedOver: number;
}

/** Finds the current release of a product without a plan: the newest that may be served. */
export class NewestRelease {
  constructor(private readonly finder: ReleaseFinder) {}

  /**
   * Returns the newest of `candidates` that may be served. If nothing has changed, returns `known` itself, which costs
   * one HEAD.
   */
  async of(
    device: string,
    candidates: readonly Candidate[],
    known: Release | undefined,
    search: Search,
  ): Promise<Newest> {
    const repository = this.finder.repositoryOf(device);
    let passedOver = 0;
    let reason = '';
    let withoutFirmware = 0;
    const lastGood = async (): Promise<Newest> => ({
      release: await this.lastGood(device, candidates, known, search, passedOver > 0 ? 'untrusted' : 'absent'),
      passedOver,
    });
    for (const candidate of candidates) {
      try {
        return { release: await this.finder.release(device, candidate, known, search), passedOver };
      } catch (error) {
        // A failure says nothing about this version, so no older one may replace it.
        if (!OtaError.isAnswer(error)) throw error;
        // Its tag is listed, but its manifest is missing: the registry may be between two states. If this lasts, the
        // release is withdrawn.
        if (error.code === 'absent' && known?.tag === candidate.tag && !(error instanceof NoFirmware)) throw error;
        reason ||= `${candidate.version}: ${error.message}`;
        if (error.code === 'untrusted') passedOver++;
        else withoutFirmware++;
        // Its tag was moved to content that is not trusted, or not yet. The last good release is better than an older
        // one.
        if (
          error.code === 'untrusted' &&
          known?.tag === candidate.tag &&
          (await this.finder.mayKeep(device, known, search))
        )
          return { release: known, passedOver };
        if (withoutFirmware === MAX_PASSED_OVER) return lastGood();
        if (passedOver === this.finder.options.maxUnverified) {
          this.finder.untrusted.searchStopped(repository, passedOver, candidates[0]?.version ?? '');
          return lastGood();
        }
      }
    }
    throw new OtaError(passedOver > 0 ? 'untrusted' : 'absent', `no version of ${repository} can be served: ${reason}`);
  }

  /** Returns the known release if its tag still exists, because the search ended before it reached that tag. */
  private async lastGood(
    device: string,
    candidates: readonly Candidate[],
    known: Release | undefined,
    search: Search,
    code: 'absent' | 'untrusted',
  ): Promise<Release> {
    const candidate = candidates.find(({ tag }) => tag === known?.tag);
    if (candidate) return this.finder.release(device, candidate, known, search);
    throw new OtaError(
      code,
      `too many of the newest versions of ${device} cannot be served, and older ones are not tried. Delete tags without firmware, sign a version, or raise --max-unverified`,
    );
  }
}
