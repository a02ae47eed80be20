import { TrustedRoot as TrustedRootMessage } from '@sigstore/protobuf-specs';
import { toTrustMaterial, type TrustMaterial } from '@sigstore/verify';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backoffMs } from '../../backoff.js';
import { OtaError, reasonOf } from '../../errors.js';
import type { Reloading } from '../trust-source.js';
import { TrustedRoot } from './trusted-root.js';

interface Fetched {
  readonly json: string;
  readonly material: TrustMaterial;
  /** Why the root is the one of an earlier download. */
  readonly problem: string | undefined;
}

/** The root changes a few times a year. */
const REFRESH_MS = 86_400_000;
/** Pause between failed downloads. Devices wait for the first root. Nobody waits for a newer one. */
const MIN_BACKOFF_MS = 2_000;
const MAX_BACKOFF_MS = 60_000;
const MAX_REFRESH_BACKOFF_MS = 3_600_000;
/** Retries of the library for one file. Further retries are made here. */
const RETRIES = 1;

/**
 * The root of the public Sigstore instance, by TUF: from the network, or from an earlier download. Concurrent callers
 * share one download. After a failure, the next download waits.
 */
export class TufTrustedRoot extends TrustedRoot {
  override readonly name = 'the trusted root of Sigstore';
  private current: Fetched | undefined;
  private pending: Promise<Fetched> | undefined;
  private failure: OtaError | undefined;
  private failures = 0;
  private nextAtMs = -Infinity;
  private changed = false;
  private temporary: string | undefined;

  constructor(
    private readonly folder: string | undefined,
    private readonly timeoutMs: number,
  ) {
    super();
  }

  override async material(): Promise<TrustMaterial> {
    if (this.current) {
      this.refreshBehind();
      return this.current.material;
    }
    if (this.failure && !this.pending && performance.now() < this.nextAtMs) throw this.failure;
    return (await this.fetched()).material;
  }

  override reload(): Reloading {
    if (this.current) this.refreshBehind();
    const { changed } = this;
    this.changed = false;
    return { changed, problem: this.failure?.message ?? this.current?.problem };
  }

  override close(): void {
    if (this.temporary !== undefined) rmSync(this.temporary, { recursive: true, force: true });
  }

  /** Downloads a newer root in the background. `reload` reports failures. */
  private refreshBehind(): void {
    if (performance.now() >= this.nextAtMs) this.fetched().catch(() => undefined);
  }

  private fetched(): Promise<Fetched> {
    this.pending ??= this.fetch()
      .then(
        (fetched) => this.adopt(fetched),
        (error: unknown) => {
          this.failure = new OtaError(
            'unavailable',
            `${this.name} cannot be fetched from tuf-repo-cdn.sigstore.dev: ${reasonOf(error)}. Check the network and the proxy, or give --sigstore-trusted-root-path`,
            { cause: error },
          );
          this.pause();
          throw this.failure;
        },
      )
      .finally(() => (this.pending = undefined));
    return this.pending;
  }

  private adopt(fetched: Fetched): Fetched {
    this.changed ||= this.current !== undefined && this.current.json !== fetched.json;
    this.current = fetched;
    this.failure = undefined;
    if (fetched.problem !== undefined) this.pause();
    else {
      this.failures = 0;
      this.nextAtMs = performance.now() + REFRESH_MS;
    }
    return fetched;
  }

  private pause(): void {
    const maxMs = this.current ? MAX_REFRESH_BACKOFF_MS : MAX_BACKOFF_MS;
    this.nextAtMs = performance.now() + backoffMs(++this.failures, MIN_BACKOFF_MS, maxMs);
  }

  private async fetch(): Promise<Fetched> {
    const { getTrustedRoot } = await import('@sigstore/tuf');
    const options = { timeout: this.timeoutMs, retry: { retries: RETRIES } };
    const { folder } = this;
    if (folder === undefined)
      return this.inTemporaryFolder(async (cachePath) => fetchedOf(await getTrustedRoot({ ...options, cachePath })));
    try {
      return fetchedOf(await getTrustedRoot({ ...options, cachePath: folder }));
    } catch (error) {
      const kept = await getTrustedRoot({ ...options, cachePath: folder, forceCache: true });
      return fetchedOf(
        kept,
        `${this.name} cannot be fetched from tuf-repo-cdn.sigstore.dev: ${reasonOf(error)}. The one in --sigstore-cache-dir is used`,
      );
    }
  }

  /** Creates the folder that TUF needs. The result is kept in memory, so the folder is removed after the download. */
  private async inTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), 'otaflux-sigstore-'));
    this.temporary = folder;
    try {
      return await work(folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
      this.temporary = undefined;
    }
  }
}

function fetchedOf(message: TrustedRootMessage, problem?: string): Fetched {
  return { json: JSON.stringify(TrustedRootMessage.toJSON(message)), material: toTrustMaterial(message), problem };
}
