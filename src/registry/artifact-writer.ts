import type { Readable } from 'node:stream';
import type { Descriptor } from '../oci/index.js';

/** Content to push: what it is, and how to read it from its first byte, as often as it takes. */
export interface BlobSource {
  readonly descriptor: Descriptor;
  open(): Readable;
}

/**
 * The write side of a registry, as far as `otaflux push` and `otaflux delete` need it. The service itself never writes.
 * Rejects with `OtaError` as `Registry` does.
 *
 * @publicApi
 */
export abstract class ArtifactWriter {
  /**
   * Stores a blob and resolves to whether it had to be written: false when it was there already.
   * `onProgress` is told the number of bytes written so far.
   */
  abstract writeBlob(
    repository: string,
    blob: BlobSource,
    signal: AbortSignal,
    onProgress?: (bytes: number) => void,
  ): Promise<boolean>;
  /** Stores a manifest and points `tag` at it. */
  abstract writeManifest(
    repository: string,
    tag: string,
    descriptor: Descriptor,
    bytes: Buffer,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Removes a tag that is there. The manifest that it names stays, with its other tags. Rejects with `protocol` when the
   * registry does not delete tags.
   */
  abstract deleteTag(repository: string, tag: string, signal: AbortSignal): Promise<void>;
}
