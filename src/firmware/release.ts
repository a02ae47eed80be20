import type { OtaError } from '../errors.js';
import type { Firmware } from '../cache/index.js';
import type { Digest } from '../oci/index.js';
import type { Plan } from '../plan/index.js';
import type { Signer } from '../signature/index.js';
import type { Annotations, Contents, Deliverable, Image, ImageSource, StoredImage } from './image.js';

/** One version of the firmware of a device, and the manifest that it came from. */
export class Release implements Deliverable {
  constructor(
    readonly device: string,
    /** Semantic version without `v`. */
    readonly version: string,
    /** The tag of the version. */
    readonly tag: string,
    /** Digest of the manifest of the tag, or of the index that contains the manifest. */
    readonly manifestDigest: Digest,
    /** Size and digests of the first image: the firmware. */
    readonly firmware: Firmware,
    private readonly contents: Contents,
    /**
     * When it became the current release on this server, in whole seconds: `Last-Modified`. Its build date would be
     * wrong: after a rollback, it is older than the date that a device has.
     */
    readonly currentSince: Date,
    /** Its signer; undefined if no signature was required. */
    readonly signer: Signer | undefined,
  ) {}

  /** Its files. The first one is the firmware. The others are downloaded when a client asks for them. */
  get images(): readonly Image[] {
    return this.contents.images;
  }

  /** The annotations of the manifest with the firmware, over those of its index. */
  get annotations(): Annotations {
    return this.contents.annotations;
  }

  /** Location of the firmware in the registry. */
  get source(): ImageSource {
    return this.main.source;
  }

  /** The image with the firmware. */
  get main(): Image {
    const [main] = this.contents.images;
    if (!main) throw new Error('a release without images. This is an error in OtaFlux');
    return main;
  }

  /** Whether all of its images are known. */
  get isComplete(): boolean {
    return this.contents.isComplete;
  }

  /**
   * Returns the image with this title, or with this digest (`sha256:…`). If several images have the title, returns the
   * first one.
   */
  image(name: string): Image | undefined {
    return this.images.find(({ title }) => title === name) ?? this.images.find(({ digest }) => digest === name);
  }

  /** Returns `image` with the digests of its bytes. */
  stored(image: Image, firmware: Firmware): StoredImage {
    const { device, version, manifestDigest, currentSince } = this;
    return { ...image, sizeBytes: firmware.sizeBytes, device, version, manifestDigest, currentSince, firmware };
  }

  /** Returns the same release with the date `currentSince`, from which another process served it. */
  datedFrom(currentSince: Date): Release {
    const { device, version, tag, manifestDigest, firmware, contents, signer } = this;
    return new Release(device, version, tag, manifestDigest, firmware, contents, currentSince, signer);
  }

  /**
   * Returns whether `other` is the same release for a device. If a tag was moved, the same version with other content
   * is another release.
   */
  equals(other: Pick<Release, 'version' | 'manifestDigest'> | undefined): boolean {
    return other?.version === this.version && other.manifestDigest === this.manifestDigest;
  }

  /** Returns whether `other` is the same release with the same signer, tag and images, so that nothing is to be done. */
  isUnchanged(other: Release | undefined): boolean {
    return (
      other !== undefined &&
      this.equals(other) &&
      other.tag === this.tag &&
      other.signer?.name === this.signer?.name &&
      other.isComplete === this.isComplete &&
      other.images.length === this.images.length
    );
  }
}

/**
 * Returns the time `nowMs` in whole seconds, as an HTTP-date has, but later than `before`: two releases within a second
 * must have different dates.
 */
export function dateAfter(before: Date | undefined, nowMs: number): Date {
  return new Date(Math.max(Math.floor(nowMs / 1000) * 1000, (before?.getTime() ?? 0) + (before ? 1000 : 0)));
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

/** The plan of a product, as far as it is known. */
export interface PlanStanding {
  /** The plan in force. Undefined if there is none. */
  readonly plan: Plan | undefined;
  /** The manifest of the plan in force. */
  readonly digest: Digest | undefined;
  readonly signer: Signer | undefined;
  /** The highest serial that was seen. A plan with a lower one is refused. */
  readonly highestSerial: number | undefined;
  /** Why the plan in the registry was not taken. Undefined if it was, or if there is none. */
  readonly failure: OtaError | undefined;
}
