import { comparePrecedence, compareWithBuild, parseVersion, type SemanticVersion } from '../semver.js';
import { turn } from '../timers.js';

/** A tag whose name is a version. */
export interface Candidate {
  readonly tag: string;
  /** Semantic version 2.0.0 without `v`, with its build metadata: `1.2.0+build.5`. */
  readonly version: string;
}

export interface SelectionOptions {
  /** Whether pre-releases such as 2.0.0-rc.1 count. */
  readonly prereleases: boolean;
  /** Older versions do not count. */
  readonly minVersion?: string | undefined;
}

/** A candidate with its parsed version. */
interface Read {
  readonly tag: string;
  readonly version: SemanticVersion;
}

/** How long the list of a repository with very many tags may block the event loop. */
const SLICE_MS = 10;
/** Number of tags to parse or sort between two checks of the time. */
const RUN = 512;

/**
 * Returns the version of `tag`, or undefined. A version is a semantic version 2.0.0, with or without `v`, with numbers
 * of any size. `_` stands for `+`, which a tag cannot contain (as in Helm's OCI registries).
 */
export function versionOf(tag: string): string | undefined {
  return read(tag)?.text;
}

/**
 * Returns a negative number if `a` is older than `b`: by semver precedence, then by build metadata. Both must be
 * results of `versionOf`.
 */
export function compareVersions(a: string, b: string): number {
  const [first, second] = [parseVersion(a), parseVersion(b)];
  if (!first || !second) throw new RangeError(`${JSON.stringify(first ? b : a)} is no semantic version`);
  return compareWithBuild(first, second);
}

/**
 * Returns the tags that are versions, newest first: by semver precedence, then by build metadata, whose numeric parts
 * are compared as numbers. Of two tags with the same version, the one without `v` comes first, so that the order is
 * total.
 */
export function newestFirst(tags: readonly string[], options: SelectionOptions): Candidate[] {
  return select(tags, options).sort(newerFirst).map(candidateOf);
}

/** The same as `newestFirst`, for lists that would block the event loop for too long. */
export async function newestFirstInTurns(tags: readonly string[], options: SelectionOptions): Promise<Candidate[]> {
  const slice = new Slice();
  let runs: Read[][] = [];
  for (let at = 0; at < tags.length; at += RUN) {
    runs.push(select(tags.slice(at, at + RUN), options).sort(newerFirst));
    if (slice.isOver) await slice.end();
  }
  while (runs.length > 1) {
    const merged: Read[][] = [];
    for (let i = 0; i < runs.length; i += 2) merged.push(await merge(runs[i] ?? [], runs[i + 1] ?? [], slice));
    runs = merged;
  }
  const candidates: Candidate[] = [];
  for (const one of runs[0] ?? []) {
    candidates.push(candidateOf(one));
    if (candidates.length % RUN === 0 && slice.isOver) await slice.end();
  }
  return candidates;
}

async function merge(a: readonly Read[], b: readonly Read[], slice: Slice): Promise<Read[]> {
  const merged: Read[] = [];
  for (let i = 0, j = 0; ;) {
    const [first, second] = [a[i], b[j]];
    if (first && (!second || newerFirst(first, second) <= 0)) {
      merged.push(first);
      i++;
    } else if (second) {
      merged.push(second);
      j++;
    } else return merged;
    if (merged.length % RUN === 0 && slice.isOver) await slice.end();
  }
}

function select(tags: readonly string[], { prereleases, minVersion }: SelectionOptions): Read[] {
  const least = minVersion === undefined ? undefined : parseVersion(minVersion);
  const found: Read[] = [];
  for (const tag of tags) {
    const version = read(tag);
    if (!version || (!prereleases && version.prerelease.length > 0)) continue;
    if (!least || comparePrecedence(version, least) >= 0) found.push({ tag, version });
  }
  return found;
}

function read(tag: string): SemanticVersion | undefined {
  return parseVersion((tag.startsWith('v') ? tag.slice(1) : tag).replace('_', '+'));
}

function newerFirst(a: Read, b: Read): number {
  return compareWithBuild(b.version, a.version) || (a.tag < b.tag ? -1 : 1);
}

function candidateOf({ tag, version }: Read): Candidate {
  return { tag, version: version.text };
}

/** A period of work on the event loop. It ends when it has lasted long enough. */
class Slice {
  private begunMs = performance.now();

  get isOver(): boolean {
    return performance.now() - this.begunMs > SLICE_MS;
  }

  async end(): Promise<void> {
    await turn();
    this.begunMs = performance.now();
  }
}
