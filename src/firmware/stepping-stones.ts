import { OtaError } from '../errors.js';
import { compareWithBuild, parseVersion } from '../semver.js';
import { conditionsOf, type Conditional } from './conditions.js';
import type { ExactReleases } from './exact-releases.js';
import type { Release } from './release.js';
import { versionOf, type Candidate } from './select-version.js';

/** Older versions that are examined for one unit. Only their manifests are fetched, and remembered for all units. */
const MAX_EXAMINED = 500;
/** Versions that are examined at the same time. */
const AT_ONCE = 4;

/**
 * Finds the release that a unit may take if the current one requires a version that it does not run
 * (`vnd.otaflux.requires`): an older release, from which it can go on.
 */
export class SteppingStones {
  constructor(private readonly exact: ExactReleases) {}

  /**
   * Returns the highest release below `current` that a unit may take, and that is newer than what it runs. A unit that
   * does not say what it runs may take a release without a condition. Resolves to undefined if there is none. Rejects
   * with OtaError if the registry cannot say.
   */
  async below(current: Release, running: string | undefined): Promise<Release | undefined> {
    const runs = running === undefined ? undefined : parseVersion(versionOf(running.replace('+', '_')) ?? '');
    const limit = parseVersion(current.version);
    const older = (await this.exact.list(current.device)).filter((candidate) => {
      const version = parseVersion(candidate.version);
      if (!version || !limit || compareWithBuild(version, limit) >= 0) return false;
      return !runs || compareWithBuild(version, runs) > 0;
    });
    for (let from = 0; from < Math.min(older.length, MAX_EXAMINED); from += AT_ONCE) {
      const some = older.slice(from, from + AT_ONCE);
      const fitting = await Promise.allSettled(
        some.map((candidate) => this.fits(current.device, candidate, runs?.text)),
      );
      for (const [i, candidate] of some.entries()) {
        // A failure matters only if no higher version fits.
        if (fitting[i]?.status === 'rejected') throw fitting[i].reason;
        const fits = fitting[i]?.value === true;
        const release = fits && (await servable(() => this.exact.find(current.device, candidate.version)));
        if (release && mayTake(release, runs?.text)) return release;
      }
    }
    return undefined;
  }

  /** Returns whether a unit may take a version, according to its manifest. */
  private async fits(device: string, candidate: Candidate, running: string | undefined): Promise<boolean> {
    const requirements = await servable(() => this.exact.requirementsOf(device, candidate));
    return requirements !== undefined && mayTake(requirements, running);
  }
}

/** Returns the result of `find`, or undefined for a version that cannot be served. */
async function servable<T>(find: () => Promise<T>): Promise<T | undefined> {
  try {
    return await find();
  } catch (error) {
    if (OtaError.isAnswer(error)) return undefined;
    throw error;
  }
}

/** Returns whether a unit that runs `running` meets what a release requires. */
export function mayTake(release: Conditional, running: string | undefined): boolean {
  const fits = conditionsOf(release)?.fitsVersion;
  if (!fits) return true;
  const version = running === undefined ? undefined : versionOf(running.replace('+', '_'));
  return version !== undefined && fits(version);
}
