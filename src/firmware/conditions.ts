import { Logger } from '@nestjs/common';
import { createRequire } from 'node:module';
import type * as Semver from 'semver';
import { globMatcher } from '../glob.js';
import type { Annotations } from './image.js';

/** The library of ranges, loaded with the first release that has one: the start must not wait for it. */
let ranges: typeof Semver | undefined;

/** Globs of the hardware that may take a release, separated by commas. */
const HARDWARE = 'vnd.otaflux.hardware';
/** Semantic version range of the versions that may be updated to a release. */
export const REQUIRES = 'vnd.otaflux.requires';
/** Matching is as long as the glob, so it has a bound. */
const MAX_GLOBS = 100;

/** A release, an image of it, or what is known of it before it is downloaded. */
export interface Conditional {
  readonly device: string;
  readonly version: string;
  readonly annotations: Annotations;
}

/** What a release demands of a unit, in the annotations of its manifest. */
export interface Conditions {
  /** Returns whether hardware of this name may take the release. Undefined if every hardware may. */
  readonly fitsHardware: ((hardware: string) => boolean) | undefined;
  /** Returns whether a unit that runs this version may take the release. Undefined if every version may. */
  readonly fitsVersion: ((running: string) => boolean) | undefined;
}

const logger = new Logger('ReleaseService');
/** `null`: the release has no conditions. A release that is created again is read again. */
const known = new WeakMap<Conditional, Conditions | null>();

/** Returns the conditions of a release, or undefined if it has none. Called on the hot path. */
export function conditionsOf(release: Conditional): Conditions | undefined {
  let conditions = known.get(release);
  if (conditions === undefined) known.set(release, (conditions = conditionsIn(release) ?? null));
  return conditions ?? undefined;
}

/** Returns the same, read anew from the annotations. */
export function conditionsIn(release: Conditional): Conditions | undefined {
  const { [HARDWARE]: hardware, [REQUIRES]: requires } = release.annotations;
  if (hardware === undefined && requires === undefined) return undefined;
  return {
    fitsHardware: hardware === undefined ? undefined : hardwareMatcher(hardware),
    fitsVersion: requires === undefined ? undefined : versionMatcher(release, requires),
  };
}

function hardwareMatcher(list: string): (hardware: string) => boolean {
  const globs = list
    .split(',')
    .map((glob) => glob.trim())
    .filter((glob) => glob !== '')
    .slice(0, MAX_GLOBS);
  const matchers = globs.map(globMatcher);
  return (hardware) => matchers.some((matches) => matches(hardware));
}

/** A range that cannot be read is met by nobody: the wrong step could end a device. */
function versionMatcher({ device, version }: Conditional, text: string): (running: string) => boolean {
  ranges ??= createRequire(import.meta.url)('semver') as typeof Semver;
  const semver = ranges;
  const range = semver.validRange(text);
  if (range === null) {
    logger.warn({
      event: 'release.bad_condition',
      device,
      version,
      reason: `the annotation ${REQUIRES} is ${JSON.stringify(text.slice(0, 100))}, expected a range of versions such as >=1.4.0. No unit gets the release. Push it again`,
    });
    return () => false;
  }
  return (running) => semver.satisfies(running, range, { includePrerelease: true });
}
