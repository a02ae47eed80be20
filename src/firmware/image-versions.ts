import { Logger } from '@nestjs/common';
import { isSameVersion } from '../semver.js';
import type { Release } from './release.js';

const MAX_LOGGED = 10_000;

/** Compares the versions that ESP images state with those of their tags. */
export class ImageVersions {
  private readonly logger = new Logger('ReleaseFinder');
  private readonly differing = new Set<string>();

  /** Warns once if an ESP image says that it is another version than its tag. */
  compare(artifact: string, { device, version, firmware: { esp } }: Release): void {
    const own = esp?.app?.version;
    if (own === undefined || isSameVersion(own, version) || this.differing.has(artifact)) return;
    if (this.differing.size >= MAX_LOGGED) this.differing.clear();
    this.differing.add(artifact);
    this.logger.warn({
      event: 'release.version_differs',
      device,
      version,
      reason: `the image says that it is version ${own}, but its tag is ${version}. Units that report the version in the image are offered the release again and again. Set PROJECT_VER to the version of the tag`,
    });
  }
}
