import type { Delivery, DeviceRequest, Links } from '../../delivery/index.js';
import type { Image, Release, StoredImage } from '../../firmware/index.js';
import type { UnitIdentity } from '../../identity.js';
import type { Artifact } from './documents.js';

const CHECKSUM_SUFFIX = '.MD5SUM';
const SWUPDATE_IMAGE = '.swu';
/** From this file, SWUpdate downloads the parts that it lacks. */
const DELTA = '.zck';

/** A file of a release, as a request names it. */
export interface ArtifactFile {
  readonly name: string;
  readonly image: Image;
  /** Whether the request is for its checksum. */
  readonly isChecksum: boolean;
}

/** The artifacts of a release: its firmware, and what SWUpdate needs beside it. */
export class ArtifactFiles {
  constructor(
    private readonly delivery: Delivery,
    private readonly links: Links,
  ) {}

  /**
   * Returns the artifacts of a release. All but the first one are downloaded before, because their digests are needed.
   *
   * @param folder path of the artifacts of the action, as the client spells tenant and controller id, without a slash at
   * the end. Zephyr needs it below `/TENANT/controller/v1`, on the same host
   */
  async of(release: Release, folder: string, unit: UnitIdentity, request: DeviceRequest): Promise<Artifact[]> {
    const artifacts: Artifact[] = [];
    for (const image of imagesFor(release)) {
      const fileName = fileNameOf(image);
      const { firmware } = image === release.main ? release : await this.stored(release, image);
      const path = this.links.signed(`${folder}/${encodeURIComponent(fileName)}`, unit);
      artifacts.push({ ...firmware, fileName, href: this.links.absolute(request, path) });
    }
    return artifacts;
  }

  /** Returns the file of a release with this name, or the file whose checksum this name asks for. Undefined: neither. */
  find(release: Release, name: string): ArtifactFile | undefined {
    const isChecksum = name.endsWith(CHECKSUM_SUFFIX);
    const fileName = isChecksum ? name.slice(0, -CHECKSUM_SUFFIX.length) : name;
    const image = imagesFor(release).find((candidate) => fileNameOf(candidate) === fileName);
    return image && { name: fileName, image, isChecksum };
  }

  /** Returns what can be sent: `image` with all of its digests. */
  stored(release: Release, image: Image): Release | StoredImage | Promise<StoredImage> {
    return image === release.main ? release : this.delivery.image(release, image.digest);
  }
}

/** rauc-hawkbit-updater and Zephyr refuse a second artifact, so there is one only for SWUpdate. */
function imagesFor({ main, images }: Release): readonly Image[] {
  if (!main.title.endsWith(SWUPDATE_IMAGE)) return [main];
  return [main, ...images.filter((image) => image !== main && image.title.endsWith(DELTA))];
}

/** Returns the name of a file: its title without folders. SWUpdate 2022.12 takes no other name than `*.swu`. */
function fileNameOf({ title }: Image): string {
  return title.slice(title.lastIndexOf('/') + 1);
}
