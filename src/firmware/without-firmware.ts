import { Logger } from '@nestjs/common';
import { NoFirmware } from './no-firmware.js';

/** Number of remembered manifests. Neither the content of a digest nor the settings change. */
const MAX_REMEMBERED = 10_000;

/** Manifests without firmware that may be served. Each is logged once, and not read again. */
export class WithoutFirmware {
  private readonly logger = new Logger('ReleaseFinder');
  private readonly known = new Map<string, NoFirmware>();

  /** Throws if a manifest is known to have no firmware. */
  demand(artifact: string): void {
    const why = this.known.get(artifact);
    if (why) throw why;
  }

  /** Returns the result of `read`, which reads a manifest. Remembers if it has no firmware. */
  async unless<T>(artifact: string, version: string, read: () => Promise<T>): Promise<T> {
    this.demand(artifact);
    try {
      return await read();
    } catch (error) {
      if (error instanceof NoFirmware) this.note(artifact, version, error);
      throw error;
    }
  }

  private note(artifact: string, version: string, error: NoFirmware): void {
    if (this.known.size >= MAX_REMEMBERED) this.known.clear();
    this.known.set(artifact, error);
    this.logger.warn({ event: 'release.passed_over', artifact, version, reason: error.message });
  }
}
