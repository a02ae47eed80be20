import { OtaError } from '../errors.js';
import type { ReleaseFinder } from './release-finder.js';
import type { Release } from './release.js';
import { versionOf, type Candidate } from './select-version.js';
import { SingleFlight } from './single-flight.js';

interface Remembered<T> {
  readonly value: T;
  readonly untilMs: number;
}

/** Tag lists and releases that were asked for by version; the longest unasked is forgotten first. */
const MAX_LISTS = 200;
const MAX_RELEASES = 500;
/** Whoever asks for versions that do not exist costs one tags list in this time. */
const MIN_MEMORY_MS = 10_000;

/** Releases by their exact version, beside the current ones; for downgrades by hand and for tests of a fleet. */
export class ExactReleases {
  private readonly lists = new Map<string, Remembered<readonly Candidate[]>>();
  private readonly releases = new Map<string, Remembered<Release>>();
  private readonly listing = new SingleFlight<readonly Candidate[]>();
  private readonly finding = new SingleFlight<Release>();
  private readonly memoryMs: number;

  constructor(
    private readonly finder: ReleaseFinder,
    refreshIntervalMs: number,
    private readonly signal: AbortSignal,
  ) {
    this.memoryMs = Math.max(refreshIntervalMs, MIN_MEMORY_MS);
  }

  /** The release of `device` whose version is `version`; OtaError `absent` when there is none. */
  async find(device: string, version: string): Promise<Release> {
    const wanted = versionOf(version.replace('+', '_'));
    const candidate =
      wanted === undefined ? undefined : (await this.candidates(device)).find((one) => one.version === wanted);
    if (!candidate) throw new OtaError('absent', `${device} has no version ${JSON.stringify(version.slice(0, 100))}`);
    const key = `${device} ${candidate.version}`;
    const known = this.releases.get(key);
    if (known && performance.now() < known.untilMs) return known.value;
    return this.finding.run(key, () => this.look(key, device, candidate, known?.value));
  }

  /** Keys changed: what was found before is judged anew. */
  forget(): void {
    this.releases.clear();
  }

  private async look(key: string, device: string, candidate: Candidate, known: Release | undefined): Promise<Release> {
    try {
      const release = await this.finder.release(device, candidate, known, this.signal);
      this.remember(this.releases, key, release, MAX_RELEASES);
      return release;
    } catch (error) {
      // While the registry is away, what it said before is the best answer.
      if (known && error instanceof OtaError && error.code === 'unavailable') return known;
      throw error;
    }
  }

  private candidates(device: string): readonly Candidate[] | Promise<readonly Candidate[]> {
    const known = this.lists.get(device);
    if (known && performance.now() < known.untilMs) return known.value;
    return this.listing.run(device, async () => {
      try {
        const candidates = await this.finder.candidates(device, this.signal);
        this.remember(this.lists, device, candidates, MAX_LISTS);
        return candidates;
      } catch (error) {
        if (error instanceof OtaError && error.code === 'absent') this.remember(this.lists, device, [], MAX_LISTS);
        else if (known) return known.value;
        throw error;
      }
    });
  }

  private remember<T>(memory: Map<string, Remembered<T>>, key: string, value: T, limit: number): void {
    memory.delete(key);
    memory.set(key, { value, untilMs: performance.now() + this.memoryMs });
    const oldest = memory.size > limit ? memory.keys().next().value : undefined;
    if (oldest !== undefined) memory.delete(oldest);
  }
}
