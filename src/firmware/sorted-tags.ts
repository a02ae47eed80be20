import { newestFirst, newestFirstInTurns, type Candidate, type SelectionOptions } from './select-version.js';

interface Sorted {
  readonly tags: readonly string[];
  readonly candidates: readonly Candidate[];
}

/** Shorter lists are sorted within a millisecond. */
const MIN_KEPT = 500;
/** Number of tags in all cached lists together; about 150 bytes each. */
const MAX_KEPT = 200_000;

/** Sorts lists of tags, and caches the long ones, because most tags do not change between two refreshes. */
export class SortedTags {
  private readonly kept = new Map<string, Sorted>();
  private keptTags = 0;

  constructor(private readonly options: SelectionOptions) {}

  /** Returns the tags of `repository` that are versions, newest first. */
  async of(repository: string, tags: readonly string[]): Promise<readonly Candidate[]> {
    const known = this.kept.get(repository);
    if (known) this.forget(repository, known);
    if (tags.length < MIN_KEPT) return newestFirst(tags, this.options);
    const candidates =
      known && isSame(known.tags, tags) ? known.candidates : await newestFirstInTurns(tags, this.options);
    this.keep(repository, { tags, candidates });
    return candidates;
  }

  private keep(repository: string, sorted: Sorted): void {
    const before = this.kept.get(repository);
    if (before) this.forget(repository, before);
    this.kept.set(repository, sorted);
    this.keptTags += sorted.tags.length;
    for (const [name, oldest] of this.kept) {
      if (this.keptTags <= MAX_KEPT) return;
      this.forget(name, oldest);
    }
  }

  private forget(repository: string, { tags }: Sorted): void {
    this.kept.delete(repository);
    this.keptTags -= tags.length;
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((tag, i) => tag === b[i]);
}
