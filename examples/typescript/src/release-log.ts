import { appendFile, readFile } from 'node:fs/promises';
import { Notifier, payloadOf, type ReleaseNotice } from 'otaflux';

/** A line of the file. `version` is missing when the device no longer has a release. */
interface Line {
  readonly at: string;
  readonly device: string;
  readonly version?: string;
  readonly size?: number;
}

/** Appends a line of JSON to a file for every release, such as `{"at":"…","device":"sensor","version":"1.4.0","size":42}`. */
export class ReleaseLog extends Notifier {
  override readonly name = 'release-log';

  constructor(private readonly path: string) {
    super();
  }

  /** Resolves when the line is written. If it rejects, OtaFlux calls it again later with the newest notice of the device. */
  override async publish({ device, release }: ReleaseNotice, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const line: Line = {
      at: new Date().toISOString(),
      device,
      ...(release && { version: release.version, size: release.sizeBytes }),
    };
    await appendFile(this.path, `${JSON.stringify(line)}\n`);
  }

  /** The newest payload of each device, so that a restart does not repeat what the file already holds. */
  override async open(): Promise<Map<string, string>> {
    const payloads = new Map<string, string>();
    for (const { device, version, size } of await this.lines()) {
      const release = version === undefined || size === undefined ? undefined : { version, sizeBytes: size };
      payloads.set(device, payloadOf({ device, release }));
    }
    return payloads;
  }

  private async lines(): Promise<Line[]> {
    const text = await readFile(this.path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  }
}
