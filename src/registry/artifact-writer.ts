import type { Readable } from 'node:stream';
import type { Descriptor } from '../oci/index.js';

/** Content to push. `open` returns its bytes from the first one, as often as it is called. */
export interface BlobSource {
  readonly descriptor: Descriptor;
  open(): Readable;
}

/**
 * The write side of a registry, for the commands that push or delete. The service itself never writes. Rejects with
 * `OtaError` like `Registry`.
 *
 * @publicApi
 */
export abstract class ArtifactWriter {
  /**
   * Stores a blob. Resolves to false if it existed already. `onProgress` is called with the number of bytes written so
   * far.
   */
  abstract writeBlob(
    repository: string,
    blob: BlobSource,
    signal: AbortSignal,
    onProgress?: (bytes: number) => void,
  ): Promise<boolean>;
  /**
   * Stores a manifest and, if `reference` is a tag, points the tag to it. With its digest as `reference`, the manifest
   * has no tag. Resolves to whether the registry lists the manifest among the referrers of its subject; if not, the
   * writer of a referrer has to list it under the fallback tag (distribution-spec 1.1, "Pushing Manifests with Subject").
   */
  abstract writeManifest(
    repository: string,
    reference: string,
    descriptor: Descriptor,
    bytes: Buffer,
    signal: AbortSignal,
  ): Promise<boolean>;
  /**
   * Removes a tag that is there. The manifest that it names stays, with its other tags. Rejects with `protocol` when the
   * registry does not delete tags.
   */
  abstract deleteTag(repository: string, tag: string, signal: AbortSignal): Promise<void>;
}
