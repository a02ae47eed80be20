import { OtaError } from '../errors.js';
import { compareWithBuild, parseVersion } from '../semver.js';
import { conditionsOf } from './conditions.js';
import type { ExactReleases } from './exact-releases.js';
import type { Release } from './release.js';
import { versionOf } from './select-version.js';

/** Older versions that are examined for one unit. Their manifests are fetched, and they are downloaded. */
const MAX_EXAMINED = 20;

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
    let examined = 0;
    for (const candidate of await this.exact.list(current.device)) {
      const version = parseVersion(candidate.version);
      if (!version || !limit || compareWithBuild(version, limit) >= 0) continue;
      if (runs && compareWithBuild(version, runs) <= 0) return undefined;
      if (++examined > MAX_EXAMINED) return undefined;
      const release = await this.find(current.device, candidate.version);
      if (release && mayTake(release, runs?.text)) return release;
    }
    return undefined;
  }

  /** Returns undefined for a version that cannot be served. */
  private async find(device: string, version: string): Promise<Release | undefined> {
    try {
      return await this.exact.find(device, version);
    } catch (error) {
      if (OtaError.isAnswer(error)) return undefined;
      throw error;
    }
  }
}

/** Returns whether a unit that runs `running` meets what a release requires. */
export function mayTake(release: Release, running: string | undefined): boolean {
  const fits = conditionsOf(release)?.fitsVersion;
  if (!fits) return true;
  const version = running === undefined ? undefined : versionOf(running.replace('+', '_'));
  return version !== undefined && fits(version);
}
