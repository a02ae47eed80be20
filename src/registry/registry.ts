import type { Readable } from 'node:stream';
import { OtaError } from '../errors.js';
import type { Descriptor, Digest, Index, Manifest } from '../oci/index.js';

/** A manifest or index, with the exact bytes that its digest and its signatures cover. */
export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  readonly content: Manifest | Index;
}

/**
 * The read side of an OCI registry, from which firmware comes. This abstract class is also the injection token.
 *
 * Every method rejects with `OtaError`: `absent` if the registry says that it does not exist, `denied` if it refuses
 * the request, `unavailable` if it cannot be reached now, `protocol` if its answer is wrong. An implementation sets its
 * own deadlines. `signal` aborts the work earlier.
 *
 * @publicApi
 */
export abstract class Registry {
  /** Returns all tags of `repository`, in any order, at most 100,000. */
  abstract listTags(repository: string, signal: AbortSignal): Promise<string[]>;
  /** Returns the descriptor to which `reference` (a tag or a digest) points now. */
  abstract resolve(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor>;
  /** Returns the manifest or index of `descriptor`, at most 4 MiB. Its digest was checked. */
  abstract fetchManifest(repository: string, descriptor: Descriptor, signal: AbortSignal): Promise<FetchedManifest>;
  /**
   * Returns the bytes of a blob. The stream fails with `protocol` if size or digest differ, so do not use any byte
   * before its end.
   */
  abstract fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable>;
  /**
   * Returns the manifests whose `subject` is `digest` (distribution-spec 1.1, "Listing Referrers"). With an artifact
   * type, returns those that may have this type. Their manifests decide.
   */
  abstract listReferrers(
    repository: string,
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
  ): Promise<Descriptor[]>;
  /**
   * Returns all repositories, at most 100,000. Many registries do not list them, or not for every account. Then it
   * rejects with `protocol`.
   */
  listRepositories(_signal: AbortSignal): Promise<string[]> {
    return Promise.reject(
      new OtaError('protocol', 'this registry does not list its repositories. Name devices by their ids in --watch'),
    );
  }
  /**
   * Resolves if the registry can be used: it answers, it is a registry, and it accepts the credentials. Otherwise
   * rejects with the reason. Called in the background at the start, and later when other answers leave a doubt.
   */
  abstract ping(signal: AbortSignal): Promise<void>;
  /**
   * Closes resources, such as idle connections. Called once, when the application has ended. No other method is called
   * afterwards.
   */
  close(): Promise<void> {
    return Promise.resolve();
  }
}
