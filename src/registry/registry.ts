import type { Readable } from 'node:stream';
import { OtaError } from '../errors.js';
import type { Descriptor, Digest, Index, Manifest } from '../oci/index.js';

/** A manifest or index together with the exact bytes that its digest, and a signature, is about. */
export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  readonly content: Manifest | Index;
}

/**
 * Where firmware comes from: the read side of an OCI registry.
 * Being an abstract class, it is also the token that it is injected by.
 *
 * Every method rejects with `OtaError`: `absent` when the registry says so, `denied` when it refuses to,
 * `unavailable` when it cannot be asked now, `protocol` when its answer is wrong.
 * An implementation brings its own deadlines; `signal` ends the work earlier.
 *
 * @publicApi
 */
export abstract class Registry {
  /** All tags of `repository`, in no particular order, 100,000 at most. */
  abstract listTags(repository: string, signal: AbortSignal): Promise<string[]>;
  /** The descriptor that `reference` (a tag or a digest) names now. */
  abstract resolve(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor>;
  /** The manifest or index of `descriptor`, its digest checked; 4 MiB at most. */
  abstract fetchManifest(repository: string, descriptor: Descriptor, signal: AbortSignal): Promise<FetchedManifest>;
  /** The bytes of a blob. The stream fails with `protocol` when size or digest differ; believe no byte before its end. */
  abstract fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable>;
  /**
   * Manifests whose `subject` is `digest` (distribution-spec 1.1, "Listing Referrers"). With an artifact type those that
   * may be of it: their manifests have the last word.
   */
  abstract listReferrers(
    repository: string,
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
  ): Promise<Descriptor[]>;
  /**
   * All repositories, 100,000 at most. Many registries list none, or not to everybody; that is `protocol`.
   */
  listRepositories(_signal: AbortSignal): Promise<string[]> {
    return Promise.reject(new OtaError('protocol', 'this registry does not list its repositories'));
  }
  /**
   * Resolves when the registry can be used: it answers, it is a registry, and it accepts the credentials. Rejects with
   * the reason otherwise. Asked in the background at the start, and later when other answers leave a doubt.
   */
  abstract ping(signal: AbortSignal): Promise<void>;
  /** Ends what it keeps open, such as idle connections. Called once, when the application has ended; nothing is asked afterwards. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}
