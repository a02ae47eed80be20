import { TrustedRoot as TrustedRootMessage } from '@sigstore/protobuf-specs';
import { toTrustMaterial, type TrustMaterial } from '@sigstore/verify';
import { readFileSync } from 'node:fs';
import { ConfigError } from '../../errors.js';
import { fileProblem } from '../../file-problem.js';
import type { Reloading, TrustSource } from '../trust-source.js';

/** The trusted certificate authorities, logs and timestamp authorities. */
export abstract class TrustedRoot implements TrustSource {
  abstract readonly name: string;
  /** Returns them. Rejects with OtaError `unavailable` if they are not available now. */
  abstract material(): Promise<TrustMaterial>;
  abstract reload(): Reloading;
  /** Removes temporary files of this process. */
  close(): void {
    return;
  }
}

/** A `trusted_root.json` (sigstore's protobuf-specs, sigstore_trustroot.proto). */
export class FileTrustedRoot extends TrustedRoot {
  override readonly name: string;
  private content: string;
  private current: TrustMaterial;

  /** Throws ConfigError if it cannot be read. */
  constructor(private readonly path: string) {
    super();
    this.name = `--sigstore-trusted-root-path ${path}`;
    try {
      this.content = readFileSync(path, 'utf8');
      this.current = parse(this.content);
    } catch (error) {
      throw new ConfigError(`--sigstore-trusted-root-path: ${this.problemOf(error)}`);
    }
  }

  override material(): Promise<TrustMaterial> {
    return Promise.resolve(this.current);
  }

  override reload(): Reloading {
    try {
      const content = readFileSync(this.path, 'utf8');
      const changed = content !== this.content;
      if (changed) this.current = parse(content);
      this.content = content;
      return { changed, problem: undefined };
    } catch (error) {
      return { changed: false, problem: this.problemOf(error) };
    }
  }

  private problemOf(error: unknown): string {
    return `cannot use ${JSON.stringify(this.path)}: ${fileProblem(error)}`;
  }
}

/** Rejects an empty or incomplete file, so that it does not count as a root that trusts nobody. */
function parse(content: string): TrustMaterial {
  const message = TrustedRootMessage.fromJSON(JSON.parse(content));
  if (message.certificateAuthorities.length === 0)
    throw new Error('it names no certificate authority. Expected a trusted_root.json of Sigstore');
  return toTrustMaterial(message);
}
