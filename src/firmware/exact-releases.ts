import { OtaError } from '../errors.js';
import { absentSince, isWithdrawn } from './refresh-failure.js';
import type { ReleaseFinder } from './release-finder.js';
import type { Release } from './release.js';
import { versionOf, type Candidate } from './select-version.js';
import { SingleFlight, type Running } from './single-flight.js';

interface Remembered<T> {
  readonly value: T;
  /** When the registry said so, on the clock of `performance.now()`. */
  readonly atMs: number;
  /** Since when it says that nothing is there; undefined while it does not. */
  absentSinceMs?: number | undefined;
}

/** Tag lists and releases that were asked for by version; the longest unasked is forgotten first. */
const MAX_LISTS = 200;
const MAX_RELEASES = 500;
/** Whoever asks for versions that do not exist costs one tags list in this time. */
const MIN_MEMORY_MS = 10_000;
/** Devices ask for the current release; what asks for others may be made up. */
const RUNNING: Running = { known: 4, unknown: 4 };

/** Releases by their exact version, beside the current ones; for downgrades by hand and for tests of a fleet. */
export class ExactReleases {
  private readonly lists = new Map<string, Remembered<readonly Candidate[]>>();
  private readonly releases = new Map<string, Remembered<Release>>();
  private readonly listing = new SingleFlight<readonly Candidate[]>(RUNNING);
  private readonly finding = new SingleFlight<Release>(RUNNING);
  private readonly memoryMs: number;

  constructor(
    private readonly finder: ReleaseFinder,
    refreshIntervalMs: number,
    /** Whether MAX_STALE forbids to serve what was confirmed so long ago. */
    private readonly isTooOld: (ageMs: number) => boolean,
    private readonly signal: AbortSignal,
  ) {
    this.memoryMs = Math.max(refreshIntervalMs, MIN_MEMORY_MS);
  }

  /** The release of `device` whose version is `version`; OtaError `absent` when there is none. */
  async find(device: string, version: string): Promise<Release> {
    const wanted = versionOf(version.replace('+', '_'));
    const candidate =
      wanted === undefined ? undefined : (await this.candidates(device)).find((one) => one.version === wanted);
    if (!candidate)
      throw new OtaError(
        'absent',
        `${device} has no version ${JSON.stringify(version.slice(0, 100))} in the registry. Check its tags`,
      );
    const key = `${device} ${candidate.version}`;
    const known = this.releases.get(key);
    if (known && this.isFresh(known)) return known.value;
    return this.finding.run(key, () => this.look(key, device, candidate, known));
  }

  /** Keys changed: what was found before is judged anew. */
  forget(): void {
    this.releases.clear();
  }

  private async look(
    key: string,
    device: string,
    candidate: Candidate,
    known: Remembered<Release> | undefined,
  ): Promise<Release> {
    try {
      const release = await this.finder.release(device, candidate, known?.value, this.signal);
      this.remember(this.releases, key, release, MAX_RELEASES);
      return release;
    } catch (error) {
      // It has been forgotten where keys changed meanwhile.
      if (known && this.releases.get(key) === known && this.stillCounts(known, error)) return known.value;
      throw error;
    }
  }

  private candidates(device: string): readonly Candidate[] | Promise<readonly Candidate[]> {
    const known = this.lists.get(device);
    if (known && this.isFresh(known)) return known.value;
    return this.listing.run(device, async () => {
      try {
        const candidates = await this.finder.candidates(device, this.signal);
        this.remember(this.lists, device, candidates, MAX_LISTS);
        return candidates;
      } catch (error) {
        if (known && known.value.length > 0 && this.stillCounts(known, error)) return known.value;
        if (error instanceof OtaError && error.code === 'absent') this.remember(this.lists, device, [], MAX_LISTS);
        throw error;
      }
    });
  }

  /**
   * Whether what the registry said before is the best answer after `error`: while it cannot be asked, refuses or answers wrongly, and
   * for as long as a vanished repository is not believed (decision 5).
   */
  private stillCounts(known: Remembered<unknown>, error: unknown): boolean {
    const nowMs = performance.now();
    const failure = OtaError.from(error, 'unavailable', 'the registry cannot be reached');
    known.absentSinceMs = absentSince(known.absentSinceMs, failure, nowMs);
    return !isWithdrawn(failure, known.absentSinceMs, nowMs, this.memoryMs) && !this.isTooOld(nowMs - known.atMs);
  }

  private isFresh({ atMs }: Remembered<unknown>): boolean {
    return performance.now() - atMs < this.memoryMs;
  }

  private remember<T>(memory: Map<string, Remembered<T>>, key: string, value: T, limit: number): void {
    memory.delete(key);
    memory.set(key, { value, atMs: performance.now() });
    const oldest = memory.size > limit ? memory.keys().next().value : undefined;
    if (oldest !== undefined) memory.delete(oldest);
  }
}
