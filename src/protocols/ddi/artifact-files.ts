import type { DeviceRequest, Links } from '../../delivery/index.js';
import type { Release } from '../../firmware/index.js';
import type { UnitIdentity } from '../../identity.js';
import type { Artifact } from './documents.js';

const CHECKSUM_SUFFIX = '.MD5SUM';

/** A file of a release, as a request names it. */
export interface ArtifactFile {
  readonly name: string;
  readonly md5: string;
  /** Whether the request is for its checksum. */
  readonly isChecksum: boolean;
}

/** The artifacts of a release, and their links. */
export class ArtifactFiles {
  constructor(private readonly links: Links) {}

  /**
   * Returns the artifacts of a release.
   *
   * @param folder path of the artifacts of the action, as the client spells tenant and controller id, without a slash at
   * the end. Zephyr needs it below `/TENANT/controller/v1`, on the same host
   */
  of(release: Release, folder: string, unit: UnitIdentity, request: DeviceRequest): Artifact[] {
    const { firmware } = release;
    const fileName = fileNameOf(release);
    const path = this.links.signed(`${folder}/${encodeURIComponent(fileName)}`, unit);
    return [{ ...firmware, fileName, href: this.links.absolute(request, path) }];
  }

  /** Returns the file of a release with this name, or the file whose checksum this name asks for. Undefined: neither. */
  find(release: Release, name: string): ArtifactFile | undefined {
    const isChecksum = name.endsWith(CHECKSUM_SUFFIX);
    const fileName = isChecksum ? name.slice(0, -CHECKSUM_SUFFIX.length) : name;
    return fileName === fileNameOf(release) ? { name: fileName, md5: release.firmware.md5, isChecksum } : undefined;
  }
}

/** Returns the name of the firmware file. */
export function fileNameOf(_release: Release): string {
  return 'firmware.swu';
}
