import { ConfigError, ExplainedError, reasonOf } from '../../errors.js';
import type { TrustSource } from '../trust-source.js';
import { KeyPath } from './key-path.js';
import { holdsPublicKey, noPublicKeyIn, parsePublicKeys, type PublicKey } from './public-key.js';

/** The sources of keys, and the option that names them, for errors. */
export interface KeySource {
  readonly where: string;
  readonly paths: readonly string[];
  /** PEM text. */
  readonly text?: string | undefined;
}

/** The public keys of one option or policy rule. One of them must have signed. */
export class KeyRing {
  /** Its files and folders. Each is read again separately. */
  readonly sources: readonly TrustSource[];
  private readonly paths: readonly KeyPath[];
  private readonly fixed: readonly PublicKey[];

  /** Throws ConfigError if there is no key, or one that cannot be read. */
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

  /** The keys without duplicates. */
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

/** Returns why readable sources contain no key. */
function emptiness(paths: readonly string[], text: string): string {
  if (paths.length === 0)
    return `${noPublicKeyIn(text)}${/\s/.test(text.trim()) ? '' : '. A path is given by --cosign-pub-key-path'}`;
  return `no file in ${paths.map((path) => JSON.stringify(path)).join(', ')} holds a public key in PEM text (BEGIN PUBLIC KEY). Put one there`;
}
