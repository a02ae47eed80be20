import { OtaError } from '../errors.js';
import type { Registry } from '../registry/index.js';
import { absentSince, isWithdrawn } from './refresh-failure.js';
import type { ReleaseFinder, Requirements } from './release-finder.js';
import type { Release } from './release.js';
import { versionOf, type Candidate } from './select-version.js';
import { Search } from './search.js';
import { SingleFlight, type Running } from './single-flight.js';

interface Remembered<T> {
  readonly value: T;
  /** Time of the registry's answer, on the clock of `performance.now()`. */
  readonly atMs: number;
  /** Since when the registry answers that it does not exist; undefined if it exists. */
  absentSinceMs?: number | undefined;
}

/** Tag lists and releases of requests with a version. The least recently used is dropped first. */
const MAX_LISTS = 200;
const MAX_RELEASES = 500;
/** What versions require; about 300 bytes each. */
const MAX_REQUIREMENTS = 10_000;
/** Requests for versions that do not exist cost one list of tags in this time. */
const MIN_MEMORY_MS = 10_000;
/**
 * Devices ask for the current release. Requests for other versions may be made up, so only a few run at the same time.
 */
const RUNNING: Running = { known: 4, unknown: 4 };

/** Releases by their exact version, in addition to the current ones. For manual downgrades and for tests of a fleet. */
export class ExactReleases {
  private readonly lists = new Map<string, Remembered<readonly Candidate[]>>();
  private readonly releases = new Map<string, Remembered<Release>>();
  private readonly requirements = new Map<string, Remembered<Requirements>>();
  private readonly listing = new SingleFlight<readonly Candidate[]>(RUNNING);
  private readonly finding = new SingleFlight<Release>(RUNNING);
  private readonly examining = new SingleFlight<Requirements>(RUNNING);
  private readonly memoryMs: number;
  private readonly search: Search;

  constructor(
    private readonly finder: ReleaseFinder,
    registry: Registry,
    refreshIntervalMs: number,
    /** Returns whether MAX_STALE forbids to serve a release of this age. */
    private readonly isTooOld: (ageMs: number) => boolean,
    private readonly signal: AbortSignal,
  ) {
    this.search = new Search(registry, signal);
    this.memoryMs = Math.max(refreshIntervalMs, MIN_MEMORY_MS);
  }

  /** Returns the release of `device` with `version`. Rejects with OtaError `absent` if there is none. */
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
    return this.finding.run(key, () =>
      this.ask(this.releases, MAX_RELEASES, key, known, () =>
        this.finder.release(device, candidate, known?.value, this.search),
      ),
    );
  }

  /** Returns what a version of `device` requires, without downloading it. Rejects with OtaError. */
  async requirementsOf(device: string, candidate: Candidate): Promise<Requirements> {
    const key = `${device} ${candidate.version}`;
    const known = this.requirements.get(key);
    if (known && this.isFresh(known)) return known.value;
    return this.examining.run(key, () =>
      this.ask(this.requirements, MAX_REQUIREMENTS, key, known, () =>
        this.finder.requirements(device, candidate, known?.value, this.search),
      ),
    );
  }

  /** Returns the versions of `device`, newest first. Rejects with OtaError `absent` if there are none. */
  async list(device: string): Promise<readonly Candidate[]> {
    return this.candidates(device);
  }

  /** Drops all releases, because keys have changed. They are verified again at the next request. */
  forget(): void {
    this.releases.clear();
    this.requirements.clear();
  }

  /** Returns the answer of the registry and remembers it, or the earlier one while that still counts. */
  private async ask<T>(
    memory: Map<string, Remembered<T>>,
    limit: number,
    key: string,
    known: Remembered<T> | undefined,
    find: () => Promise<T>,
  ): Promise<T> {
    try {
      const value = await find();
      this.remember(memory, key, value, limit);
      return value;
    } catch (error) {
      // `forget` has dropped it if keys changed in between.
      if (known && memory.get(key) === known && this.stillCounts(known, error)) return known.value;
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
   * Returns whether to use the registry's earlier answer after `error`: while the registry cannot be reached, refuses
   * or answers wrongly, and until a missing repository counts as deleted (decision 5).
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
