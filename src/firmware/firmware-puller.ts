import pLimit from 'p-limit';
import type { Firmware, FirmwareStore } from '../cache/index.js';
import { OtaError } from '../errors.js';
import { algorithmOf, hexOf, inlineContent, type Descriptor } from '../oci/index.js';
import type { Registry } from '../registry/index.js';
import { traced } from '../tracing.js';
import type { ImageSource } from './image.js';
import { limited } from './limited.js';
import { NoFirmware } from './no-firmware.js';
import { ofRightEntry } from './other-entry.js';

/** Concurrent downloads. Each may take its size in memory. */
const MAX_PULLS = 4;

export interface FirmwarePullerOptions {
  readonly firmwareFile: string | undefined;
  readonly maxFirmwareBytes: number;
}

/** Downloads firmware from the registry into the store. */
export class FirmwarePuller {
  private readonly pulls = pLimit(MAX_PULLS);

  constructor(
    private readonly store: FirmwareStore,
    private readonly options: FirmwarePullerOptions,
  ) {}

  /** Throws NoFirmware if a blob is larger than the limit. */
  demandSize({ blob }: ImageSource): void {
    if (blob.size <= this.options.maxFirmwareBytes) return;
    throw new NoFirmware(
      `the layer has ${blob.size} bytes, more than --max-firmware-size (${this.options.maxFirmwareBytes}). Raise the limit, or push a smaller file`,
    );
  }

  /** Returns size and digests of the firmware in `source`. Downloads it into the store, if it is not there. */
  async pull(
    registry: Registry,
    repository: string,
    { blob, packing }: ImageSource,
    signal: AbortSignal,
  ): Promise<Firmware> {
    const plain = packing === 'none' && algorithmOf(blob.digest) === 'sha256';
    const stored = plain ? await this.store.find(hexOf(blob.digest)) : undefined;
    if (stored) return stored;
    const firmware = await this.pulls(() =>
      traced('otaflux.pull', { repository, sizeBytes: blob.size }, () =>
        ofRightEntry((entry) =>
          this.store.put({
            // Only then, the content has the size of the blob.
            sizeBytes: packing === 'none' ? blob.size : undefined,
            open: () => this.contentOf(registry, repository, { blob, packing }, signal, entry),
          }),
        ),
      ),
    );
    // A plug-in registry may not have checked the content.
    if (plain && firmware.sha256 !== hexOf(blob.digest))
      throw new OtaError(
        'protocol',
        `content is not ${blob.digest}: its bytes have another digest. Check the registry and its storage`,
      );
    return firmware;
  }

  /** Yields the firmware in a blob. The code that unpacks tars is loaded with the first tar. */
  private async *contentOf(
    registry: Registry,
    repository: string,
    { blob, packing }: ImageSource,
    signal: AbortSignal,
    entry: number | undefined,
  ): AsyncGenerator<Buffer> {
    const { firmwareFile, maxFirmwareBytes: maxBytes } = this.options;
    const bytes = bytesOf(registry, repository, blob, signal);
    if (packing === 'none') yield* limited(bytes, maxBytes);
    else yield* (await import('./unpack.js')).unpack(bytes, { packing, firmwareFile, maxBytes, entry });
  }
}

/** If the blob of a manifest is missing, the manifest is broken, not absent: an older version must not replace it. */
async function* bytesOf(
  registry: Registry,
  repository: string,
  blob: Descriptor,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const inline = inlineContent(blob);
  if (inline) {
    yield inline;
    return;
  }
  try {
    yield* (await registry.fetchBlob(repository, blob, signal)) as AsyncIterable<Buffer>;
  } catch (error) {
    if (error instanceof OtaError && error.code === 'absent')
      throw new OtaError('protocol', error.message, { cause: error });
    throw error;
  }
}
