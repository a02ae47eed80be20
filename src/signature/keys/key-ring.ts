import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, reasonOf } from '../../errors.js';
import { holdsPublicKey, parsePublicKeys, type PublicKey } from './public-key.js';

/** A key file larger than this is none. */
const MAX_FILE_BYTES = 256 * 1024;

/** Where keys come from, and the option that says so, for errors. */
export interface KeySource {
  readonly where: string;
  readonly paths: readonly string[];
  /** PEM text. */
  readonly text?: string | undefined;
}

/** The public keys of one source, read again on demand. */
export class KeyRing {
  private content: string;
  private current: ReadonlyMap<string, PublicKey>;

  /** Throws ConfigError when there is no key, or one that cannot be read. */
  constructor(private readonly source: KeySource) {
    try {
      this.content = this.read();
      this.current = parse(this.content);
      if (this.size === 0) throw new Error('holds no public key, takes PEM text with BEGIN PUBLIC KEY');
    } catch (error) {
      throw new ConfigError(`${source.where}: ${reasonOf(error)}`);
    }
  }

  get keys(): Iterable<PublicKey> {
    return this.current.values();
  }

  get size(): number {
    return this.current.size;
  }

  has(fingerprint: string): boolean {
    return this.current.has(fingerprint);
  }

  /**
   * Reads the files again; whether the keys are others now. A folder that was emptied holds none, and nothing is trusted
   * then. Throws, and keeps the old ones, when a file or folder cannot be read: a volume that went away revokes nothing.
   */
  reload(): boolean {
    const content = this.read();
    if (content === this.content) return false;
    const keys = parse(content);
    this.content = content;
    const same = keys.size === this.current.size && [...keys.keys()].every((key) => this.current.has(key));
    this.current = keys;
    return !same;
  }

  private read(): string {
    return [this.source.text ?? '', ...this.source.paths.flatMap((path) => readPath(path))].join('\n');
  }
}

function parse(content: string): Map<string, PublicKey> {
  return new Map(parsePublicKeys(content).map((key) => [key.fingerprint, key]));
}

/** The text of a key file, or of the key files in a folder. */
function readPath(path: string): string[] {
  try {
    return statSync(path).isDirectory() ? readFolder(path) : [demandKey(path, readText(path))];
  } catch (error) {
    throw new Error(`cannot use ${JSON.stringify(path)}: ${reasonOf(error)}`, { cause: error });
  }
}

/** A mounted Secret keeps its files in `..data`, and links to them; a link to what was removed is none. */
function readFolder(path: string): string[] {
  return readdirSync(path)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .map((name) => join(path, name))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile())
    .map((file) => (/\.(?:pub|pem)$/.test(file) ? demandKey(file, readText(file)) : readText(file)))
    .filter(holdsPublicKey);
}

function demandKey(path: string, text: string): string {
  if (!holdsPublicKey(text)) throw new Error(`${path} holds no public key, takes PEM text with BEGIN PUBLIC KEY`);
  return text;
}

function readText(path: string): string {
  const { size } = statSync(path);
  if (size > MAX_FILE_BYTES) throw new Error(`${path} has ${size} bytes, over the limit of ${MAX_FILE_BYTES}`);
  return readFileSync(path, 'utf8');
}
