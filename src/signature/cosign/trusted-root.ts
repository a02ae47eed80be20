import { TrustedRoot as TrustedRootMessage } from '@sigstore/protobuf-specs';
import { toTrustMaterial, type TrustMaterial } from '@sigstore/verify';
import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, OtaError, reasonOf } from '../../errors.js';

/** Which certificate authorities, logs and timestamp authorities are trusted. */
export abstract class TrustedRoot {
  /** Rejects with OtaError `unavailable` when it cannot be had now. */
  abstract material(): Promise<TrustMaterial>;
  /** Reads it again; whether it is another one now. Throws, and keeps the old one, when it cannot be read. */
  reload(): boolean {
    return false;
  }
}

/** A `trusted_root.json` (sigstore's protobuf-specs, sigstore_trustroot.proto). */
export class FileTrustedRoot extends TrustedRoot {
  private content: string;
  private current: TrustMaterial;

  /** Throws ConfigError when it cannot be read. */
  constructor(private readonly path: string) {
    super();
    try {
      this.content = readFileSync(path, 'utf8');
      this.current = parse(this.content);
    } catch (error) {
      throw new ConfigError(`--sigstore-trusted-root-path: cannot use ${JSON.stringify(path)}: ${reasonOf(error)}`);
    }
  }

  override material(): Promise<TrustMaterial> {
    return Promise.resolve(this.current);
  }

  override reload(): boolean {
    const content = readFileSync(this.path, 'utf8');
    if (content === this.content) return false;
    this.current = parse(content);
    this.content = content;
    return true;
  }
}

/** The root changes some times a year. */
const TUF_REFRESH_MS = 86_400_000;
const TUF_RETRY_MS = 60_000;

/** The root of the public Sigstore instance, by TUF, from the network or as it was fetched before. */
export class TufTrustedRoot extends TrustedRoot {
  private current: Promise<TrustMaterial> | undefined;
  private refreshAtMs = 0;

  constructor(
    private readonly folder: string | undefined,
    private readonly timeoutMs: number,
  ) {
    super();
  }

  override material(): Promise<TrustMaterial> {
    if (this.current && performance.now() < this.refreshAtMs) return this.current;
    this.refreshAtMs = performance.now() + TUF_REFRESH_MS;
    const before = this.current;
    this.current = this.fetch().catch(async (error: unknown) => {
      this.refreshAtMs = performance.now() + TUF_RETRY_MS;
      if (before) return before;
      this.current = undefined;
      throw new OtaError('unavailable', `the trusted root of Sigstore cannot be fetched: ${reasonOf(error)}`, {
        cause: error,
      });
    });
    return this.current;
  }

  private async fetch(): Promise<TrustMaterial> {
    const { getTrustedRoot } = await import('@sigstore/tuf');
    const cachePath = this.folder ?? (await mkdtemp(join(tmpdir(), 'otaflux-sigstore-')));
    const root = await getTrustedRoot({ cachePath, timeout: this.timeoutMs }).catch((error: unknown) => {
      if (this.folder === undefined) throw error;
      return getTrustedRoot({ cachePath, forceCache: true });
    });
    return toTrustMaterial(root);
  }
}

function parse(content: string): TrustMaterial {
  return toTrustMaterial(TrustedRootMessage.fromJSON(JSON.parse(content)));
}
