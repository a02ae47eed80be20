import type { OtaError } from '../errors.js';
import type { Firmware } from '../cache/index.js';
import type { Descriptor, Digest } from '../oci/index.js';
import type { Signer } from '../signature/index.js';
import type { Packing } from './firmware-locator.js';

/** What a device gets: one version, the manifest that it came from, and one firmware. */
export class Release {
  /** When `/version` last told it, on the clock of `performance.now()`; 0 for never. */
  toldAtMs = 0;

  constructor(
    readonly device: string,
    /** Semantic version without `v`. */
    readonly version: string,
    /** The tag that named it. */
    readonly tag: string,
    /** What the tag named: a manifest, or the index that holds it. */
    readonly manifestDigest: Digest,
    readonly firmware: Firmware,
    /** Where its bytes can be had again. */
    readonly source: { readonly blob: Descriptor; readonly packing: Packing },
    /**
     * When it became what is served here, in whole seconds: `Last-Modified`. The date of its build would not do: after a
     * rollback it is older than what a device has.
     */
    readonly currentSince: Date,
    /** Who signed it; undefined when nobody had to. */
    readonly signer: Signer | undefined,
  ) {}

  /** The same release, known to be what is served since `currentSince`: another process has served it before. */
  datedFrom(currentSince: Date): Release {
    const { device, version, tag, manifestDigest, firmware, source, signer } = this;
    return new Release(device, version, tag, manifestDigest, firmware, source, currentSince, signer);
  }

  /** Whether `other` is the same to a device: a moved tag, same version with other bytes, is another release. */
  equals(other: Release | undefined): boolean {
    return other?.version === this.version && other.manifestDigest === this.manifestDigest;
  }
}

/**
 * Returns now in whole seconds, which is all that an HTTP-date holds, and later than `before`: of two releases within a
 * second the second must not have the date of the first.
 */
export function dateAfter(before: Date | undefined): Date {
  return new Date(Math.max(Math.floor(Date.now() / 1000) * 1000, (before?.getTime() ?? 0) + (before ? 1000 : 0)));
}

/** The current release of a device became another one, the first, or none. */
export interface ReleaseChanged {
  readonly device: string;
  readonly before: Release | undefined;
  readonly after: Release | undefined;
  /** When a webhook told of it, else when it was found, on the clock of `performance.now()`. */
  readonly sinceMs: number;
}

/** A device's current release, and how sure of it we are. */
export interface ReleaseStanding {
  readonly release: Release;
  /** Since the registry last confirmed it. */
  readonly ageMs: number;
  /** Why the last refresh failed; undefined after a good one. */
  readonly failure: OtaError | undefined;
  /** Whether newer versions are passed over because they are not trusted. */
  readonly passedOver: boolean;
}
