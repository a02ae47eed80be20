import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ExplainedError } from '../../errors.js';
import { fileProblem } from '../../file-problem.js';
import type { Reloading } from '../trust-source.js';
import { holdsPublicKey, noPublicKeyIn, parsePublicKeys, type PublicKey } from './public-key.js';

/** A larger file is not read as a key file. */
const MAX_FILE_BYTES = 256 * 1024;

/** Maximum number of files of one folder in a log line. */
const MAX_PROBLEMS = 3;

interface KeyFile {
  readonly content: string;
  readonly keys: readonly PublicKey[];
}

/** One path of an option: a key file, or a folder of them. Each file is read separately. */
export class KeyPath {
  private files: ReadonlyMap<string, KeyFile>;

  /** Throws an Error with one line if a file cannot be used. */
  constructor(private readonly path: string) {
    const { files, problems } = this.read(new Map());
    if (problems.length > 0) throw new ExplainedError(problems[0]);
    this.files = files;
  }

  get keys(): PublicKey[] {
    return [...this.files.values()].flatMap(({ keys }) => keys);
  }

  /**
   * Reads the files again. If a file cannot be used, its keys stay in force, and the other files are still read. If a
   * file is missing in a readable folder, its keys are revoked.
   */
  reload(): Reloading {
    const before = fingerprintsOf(this.keys);
    const { files, problems } = this.read(this.files);
    this.files = files;
    const after = fingerprintsOf(this.keys);
    const changed = after.size !== before.size || [...after].some((key) => !before.has(key));
    return { changed, problem: summaryOf(problems) };
  }

  private read(before: ReadonlyMap<string, KeyFile>): { files: ReadonlyMap<string, KeyFile>; problems: string[] } {
    const files = new Map<string, KeyFile>();
    const problems: string[] = [];
    let listed: [string, boolean][];
    try {
      listed = statSync(this.path).isDirectory() ? filesIn(this.path) : [[this.path, true]];
    } catch (error) {
      // An unmounted volume revokes nothing.
      return { files: before, problems: [problemOf(this.path, error)] };
    }
    for (const [file, mustHoldKey] of listed) {
      const old = before.get(file);
      try {
        files.set(file, readKeyFile(file, mustHoldKey, old));
      } catch (error) {
        problems.push(problemOf(file, error));
        if (old) files.set(file, old);
      }
    }
    return { files, problems };
  }
}

function problemOf(path: string, error: unknown): string {
  return `cannot use ${JSON.stringify(path)}: ${fileProblem(error)}`;
}

/**
 * Returns the files in a folder, and whether the name of each is that of a key. A mounted Secret keeps its files in
 * `..data`, and links to them.
 */
function filesIn(path: string): [string, boolean][] {
  return readdirSync(path)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .map((name) => join(path, name))
    .filter((file) => isFile(file))
    .map((file) => [file, /\.(?:pub|pem)$/.test(file)]);
}

/**
 * Returns whether a path is a file. A link to a removed file is not. A link that cannot be followed is reported when it
 * is read.
 */
function isFile(file: string): boolean {
  try {
    return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
  } catch {
    return true;
  }
}

function readKeyFile(file: string, mustHoldKey: boolean, old: KeyFile | undefined): KeyFile {
  const { size } = statSync(file);
  if (size > MAX_FILE_BYTES)
    throw new ExplainedError(`it has ${size} bytes, more than a key file has (${MAX_FILE_BYTES}). Name a key file`);
  const content = readFileSync(file, 'utf8');
  if (content === old?.content) return old;
  if (holdsPublicKey(content)) return { content, keys: parsePublicKeys(content) };
  if (mustHoldKey) throw new ExplainedError(noPublicKeyIn(content));
  return { content, keys: [] };
}

function summaryOf(problems: readonly string[]): string | undefined {
  const more = problems.length - MAX_PROBLEMS;
  const shown = problems.slice(0, MAX_PROBLEMS).join('; ');
  return problems.length === 0 ? undefined : more > 0 ? `${shown}; and ${more} more` : shown;
}

function fingerprintsOf(keys: readonly PublicKey[]): Set<string> {
  return new Set(keys.map(({ fingerprint }) => fingerprint));
}
