import { ConfigError, ExplainedError, reasonOf } from '../../errors.js';
import type { TrustSource } from '../trust-source.js';
import { KeyPath } from './key-path.js';
import { holdsPublicKey, noPublicKeyIn, parsePublicKeys, type PublicKey } from './public-key.js';

/** Where keys come from, and the option that says so, for errors. */
export interface KeySource {
  readonly where: string;
  readonly paths: readonly string[];
  /** PEM text. */
  readonly text?: string | undefined;
}

/** The public keys of one option or policy rule: one of them must have signed. */
export class KeyRing {
  /** Its files and folders, each of which is read again by itself. */
  readonly sources: readonly TrustSource[];
  private readonly paths: readonly KeyPath[];
  private readonly fixed: readonly PublicKey[];

  /** Throws ConfigError when there is no key, or one that cannot be read. */
  constructor({ where, paths, text = '' }: KeySource) {
    try {
      this.fixed = holdsPublicKey(text) ? parsePublicKeys(text) : [];
      this.paths = paths.map((path) => new KeyPath(path));
      if (this.size === 0) throw new ExplainedError(emptiness(paths, text));
    } catch (error) {
      throw new ConfigError(`${where}: ${reasonOf(error)}`, { cause: error });
    }
    this.sources = this.paths.map((path, index) => ({
      name: `${where} ${paths[index] ?? ''}`,
      reload: () => path.reload(),
    }));
  }

  /** Each key once. */
  get keys(): Iterable<PublicKey> {
    const all = [...this.fixed, ...this.paths.flatMap(({ keys }) => keys)];
    return new Map(all.map((key) => [key.fingerprint, key])).values();
  }

  get size(): number {
    return [...this.keys].length;
  }

  has(fingerprint: string): boolean {
    for (const key of this.keys) if (key.fingerprint === fingerprint) return true;
    return false;
  }
}

/** Why sources that could all be read make no key. */
function emptiness(paths: readonly string[], text: string): string {
  if (paths.length === 0)
    return `${noPublicKeyIn(text)}${/\s/.test(text.trim()) ? '' : '. A path is given by --cosign-pub-key-path'}`;
  return `no file in ${paths.map((path) => JSON.stringify(path)).join(', ')} holds a public key in PEM text (BEGIN PUBLIC KEY)`;
}
