import type { Readable } from 'node:stream';
import { OtaError } from '../errors.js';
import type { RegistryMeter, RegistryOperation } from '../metrics/index.js';
import type { Descriptor, Digest } from '../oci/index.js';
import { Registry, type FetchedManifest } from './registry.js';

/** Any registry, with its questions counted and timed. A blob counts when its stream is there. */
export class MeteredRegistry extends Registry {
  constructor(
    private readonly registry: Registry,
    private readonly meter: RegistryMeter,
  ) {
    super();
  }

  override listTags(repository: string, signal: AbortSignal): Promise<string[]> {
    return this.measure('tags', this.registry.listTags(repository, signal));
  }

  override resolve(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor> {
    return this.measure('resolve', this.registry.resolve(repository, reference, signal));
  }

  override fetchManifest(repository: string, descriptor: Descriptor, signal: AbortSignal): Promise<FetchedManifest> {
    return this.measure('manifest', this.registry.fetchManifest(repository, descriptor, signal));
  }

  override fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable> {
    return this.measure('blob', this.registry.fetchBlob(repository, blob, signal));
  }

  override listReferrers(
    repository: string,
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
  ): Promise<Descriptor[]> {
    return this.measure('referrers', this.registry.listReferrers(repository, digest, artifactType, signal));
  }

  override listRepositories(signal: AbortSignal): Promise<string[]> {
    return this.measure('repositories', this.registry.listRepositories(signal));
  }

  override ping(signal: AbortSignal): Promise<void> {
    return this.measure('ping', this.registry.ping(signal));
  }

  override close(): Promise<void> {
    return this.registry.close();
  }

  private async measure<T>(operation: RegistryOperation, work: Promise<T>): Promise<T> {
    const startedMs = performance.now();
    const done = (result: string): void => {
      this.meter.registryRequest(operation, result, performance.now() - startedMs);
    };
    return work.then(
      (value) => {
        done('ok');
        return value;
      },
      (error: unknown) => {
        done(error instanceof OtaError ? error.code : 'unavailable');
        throw error;
      },
    );
  }
}
