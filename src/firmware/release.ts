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
    /** When it was built, if its manifest says so, else when it was first seen. */
    readonly createdAt: Date,
    /** Who signed it; undefined when nobody had to. */
    readonly signer: Signer | undefined,
  ) {}

  /** Whether `other` is the same to a device: a moved tag, same version with other bytes, is another release. */
  equals(other: Release | undefined): boolean {
    return other?.version === this.version && other.manifestDigest === this.manifestDigest;
  }
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
