import { Injectable, Logger } from '@nestjs/common';
import { ReleaseReader } from '../../delivery/index.js';
import type { Release } from '../../firmware/index.js';
import { MAX_HEADER_BYTES, NoMenderArtifact, readArtifact, type MenderArtifact } from './artifact.js';

/** Headers in memory, each about 500 bytes. */
const MAX_HEADERS = 2_000;

/** The headers of Mender artifacts. Each is read once. */
@Injectable()
export class Artifacts {
  private readonly logger = new Logger('Artifacts');
  /** By the SHA-256 of the artifact. Undefined for a file that is none. The oldest is dropped first. */
  private readonly headers = new Map<string, MenderArtifact | undefined>();

  constructor(private readonly reader: ReleaseReader) {}

  /**
   * Returns the header of the artifact that `release` holds, or undefined if no Mender client can install it, which is
   * logged. Rejects with OtaError if its bytes cannot be read now.
   */
  async of(release: Release): Promise<MenderArtifact | undefined> {
    const { sha256 } = release.firmware;
    if (this.headers.has(sha256)) return this.headers.get(sha256);
    const header = await this.read(release);
    this.headers.set(sha256, header);
    if (this.headers.size > MAX_HEADERS) {
      const [oldest] = this.headers.keys();
      if (oldest !== undefined) this.headers.delete(oldest);
    }
    return header;
  }

  private async read(release: Release): Promise<MenderArtifact | undefined> {
    try {
      return await readArtifact(this.reader.read(release, MAX_HEADER_BYTES));
    } catch (error) {
      if (!(error instanceof NoMenderArtifact)) throw error;
      this.logger.warn({
        event: 'mender.no_artifact',
        device: release.device,
        version: release.version,
        reason: `Mender devices are not offered ${release.device} ${release.version}: ${error.message}. See https://github.com/otaflux/otaflux/blob/main/docs/protocols/mender.md`,
      });
      return undefined;
    }
  }
}
