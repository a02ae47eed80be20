import type { OtaError } from '../errors.js';
import type { Firmware } from '../cache/index.js';
import type { Descriptor, Digest } from '../oci/index.js';
import type { Signer } from '../signature/index.js';
import type { Packing } from './firmware-locator.js';

/** One version of the firmware of a device, and the manifest that it came from. */
export class Release {
  /** When `/version` last offered it, on the clock of `performance.now()`; 0 if never. */
  toldAtMs = 0;

  constructor(
    readonly device: string,
    /** Semantic version without `v`. */
    readonly version: string,
    /** The tag of the version. */
    readonly tag: string,
    /** Digest of the manifest of the tag, or of the index that contains the manifest. */
    readonly manifestDigest: Digest,
    readonly firmware: Firmware,
    /** Location of its bytes in the registry. */
    readonly source: { readonly blob: Descriptor; readonly packing: Packing },
    /**
     * When it became the current release on this server, in whole seconds: `Last-Modified`. Its build date would be
     * wrong: after a rollback, it is older than the date that a device has.
     */
    readonly currentSince: Date,
    /** Its signer; undefined if no signature was required. */
    readonly signer: Signer | undefined,
  ) {}

  /** Returns the same release with the date `currentSince`, from which another process served it. */
  datedFrom(currentSince: Date): Release {
    const { device, version, tag, manifestDigest, firmware, source, signer } = this;
    return new Release(device, version, tag, manifestDigest, firmware, source, currentSince, signer);
  }

  /**
   * Returns whether `other` is the same release for a device. If a tag was moved, the same version with other content
   * is another release.
   */
  equals(other: Release | undefined): boolean {
    return other?.version === this.version && other.manifestDigest === this.manifestDigest;
  }
}

/**
 * Returns the current time in whole seconds, as an HTTP-date has, but later than `before`: two releases within a second
 * must have different dates.
 */
export function dateAfter(before: Date | undefined): Date {
  return new Date(Math.max(Math.floor(Date.now() / 1000) * 1000, (before?.getTime() ?? 0) + (before ? 1000 : 0)));
}

/**
 * A change of the current release of a device. `before` is undefined for its first release. `after` is undefined if it
 * has no release any more.
 */
export interface ReleaseChanged {
  readonly device: string;
  readonly before: Release | undefined;
  readonly after: Release | undefined;
  /** When a webhook announced the change, otherwise when it was found, on the clock of `performance.now()`. */
  readonly sinceMs: number;
}

/** The current release of a device, and the result of its last refresh. */
export interface ReleaseStanding {
  readonly release: Release;
  /** Time since the registry last confirmed it. */
  readonly ageMs: number;
  /** Why the last refresh failed; undefined after a successful one. */
  readonly failure: OtaError | undefined;
  /** Whether newer versions are skipped because they are not trusted. */
  readonly passedOver: boolean;
}
