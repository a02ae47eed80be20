import type { Readable } from 'node:stream';
import { OtaError } from '../errors.js';
import type { RegistryMeter, RegistryOperation } from '../metrics/index.js';
import type { Descriptor, Digest } from '../oci/index.js';
import { Registry, type FetchedManifest } from './registry.js';
import type { RegistryState } from './registry-state.js';

/**
 * Wraps a registry: counts and times its operations, and notes their results in RegistryState. A blob is counted when
 * its stream ends or fails; a stream that its reader leaves is not counted.
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
    const startedMs = performance.now();
    const failed = (error: unknown): void => {
      this.meter.registryRequest('blob', codeOf(error), performance.now() - startedMs);
      this.note('blob', error, signal);
    };
    try {
      const stream = await this.registry.fetchBlob(repository, blob, signal);
      return stream.once('error', failed).once('end', () => {
        this.meter.registryRequest('blob', 'ok', performance.now() - startedMs);
        this.state.answered('blob');
      });
    } catch (error) {
      failed(error);
      throw error;
    }
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
      this.state.answered(operation);
      return value;
    } catch (error) {
      done(codeOf(error));
      this.note(operation, error, signal);
      throw error;
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof OtaError ? error.code : 'unavailable';
}
