import type { Readable } from 'node:stream';
import { OtaError } from '../errors.js';
import type { RegistryMeter, RegistryOperation } from '../metrics/index.js';
import type { Descriptor, Digest } from '../oci/index.js';
import { Registry, type FetchedManifest } from './registry.js';
import type { RegistryState } from './registry-state.js';

/**
 * Wraps a registry: counts and times its operations, and notes their results in RegistryState. A blob is counted when
 * its stream is returned.
 */
export class MeteredRegistry extends Registry {
  constructor(
    private readonly registry: Registry,
    private readonly meter: RegistryMeter,
    private readonly state: RegistryState,
  ) {
    super();
  }

  override listTags(repository: string, signal: AbortSignal): Promise<string[]> {
    return this.measure('tags', signal, () => this.registry.listTags(repository, signal));
  }

  override resolve(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor> {
    return this.measure('resolve', signal, () => this.registry.resolve(repository, reference, signal));
  }

  override fetchManifest(repository: string, descriptor: Descriptor, signal: AbortSignal): Promise<FetchedManifest> {
    return this.measure('manifest', signal, () => this.registry.fetchManifest(repository, descriptor, signal));
  }

  override async fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable> {
    const stream = await this.measure('blob', signal, () => this.registry.fetchBlob(repository, blob, signal));
    // Most errors of a blob occur while it is read.
    return stream
      .once('error', (error) => {
        this.note('blob', error, signal);
      })
      .once('end', () => {
        this.state.answered('blob');
      });
  }

  override listReferrers(
    repository: string,
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
  ): Promise<Descriptor[]> {
    return this.measure('referrers', signal, () =>
      this.registry.listReferrers(repository, digest, artifactType, signal),
    );
  }

  override listRepositories(signal: AbortSignal): Promise<string[]> {
    return this.measure('repositories', signal, () => this.registry.listRepositories(signal));
  }

  override ping(signal: AbortSignal): Promise<void> {
    return this.measure('ping', signal, () => this.registry.ping(signal));
  }

  /** Notes a failure, unless this process aborted the operation itself. */
  private note(operation: RegistryOperation, error: unknown, signal: AbortSignal): void {
    if (!signal.aborted) this.state.failed(operation, error);
  }

  override close(): Promise<void> {
    return this.registry.close();
  }

  /** A plug-in registry may throw where it should reject. */
  private async measure<T>(operation: RegistryOperation, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    const done = (result: string): void => {
      this.meter.registryRequest(operation, result, performance.now() - startedMs);
    };
    try {
      const value = await ask();
      done('ok');
      // The stream of a blob may be returned before any request was sent.
      if (operation !== 'blob') this.state.answered(operation);
      return value;
    } catch (error) {
      done(error instanceof OtaError ? error.code : 'unavailable');
      this.note(operation, error, signal);
      throw error;
    }
  }
}
