import { Logger } from '@nestjs/common';
import type { Clock } from '../clock.js';
import { OtaError, explained } from '../errors.js';
import { PLAN_TAG } from '../plan/index.js';
import { narrowed, Transcript, type Answers, type Registry } from '../registry/index.js';
import type { CatalogueEntry } from './catalogue-entry.js';
import type { DeviceState } from './known-devices.js';
import type { SeenPlan } from './plan-finder.js';
import { PlanRefused } from './plan-refused.js';
import type { Found, Planned, ProductSearch } from './product-search.js';
import { dateAfter, type Release } from './release.js';
import type { ReleaseFinder } from './release-finder.js';
import type { Kept, ReleaseMemory } from './release-memory.js';
import { Search } from './search.js';

/** A search from before a restart, and how long ago the registry confirmed it. */
export interface Recalled {
  readonly found: Found;
  readonly ageMs: number;
}

/**
 * Searches that are stored on disk, so that they can be repeated after a start while the registry cannot be reached.
 */
export class PastReleases {
  private readonly logger = new Logger('ReleaseService');

  constructor(
    private readonly memory: ReleaseMemory,
    private readonly registry: Registry,
    private readonly searches: ProductSearch,
    private readonly finder: ReleaseFinder,
    private readonly isTooOld: (ageMs: number) => boolean,
    private readonly clock: Clock,
  ) {}

  /**
   * Searches the registry for the releases of a product, and stores the answers if they differ from before. Rejects with
   * OtaError.
   *
   * @param dropsMissing whether versions whose manifest has been missing for long are dropped
   * @param told called with the result before it is written to the disk, so that a notice does not wait for the disk
   */
  async search(
    state: DeviceState,
    again: boolean,
    dropsMissing: boolean,
    signal: AbortSignal,
    told: (found: Found) => void,
  ): Promise<void> {
    const { device, release: known, planned } = state;
    // Before the search: no key must be removed between the end of the search and the call of `told`.
    const kept = known || planned ? undefined : await this.memory.recall(device);
    state.seenPlan = higher(state.seenPlan, kept?.plan);
    const search = new Search(this.registry, signal, again, this.memory.isOn);
    const found = await this.searches.find(
      device,
      {
        release: known,
        planned,
        seen: state.seenPlan,
        wasPlanned: kept?.parts !== undefined,
        dropsMissing,
        recall: async () => (kept && (await this.replay(device, kept, signal)))?.planned,
      },
      search,
    );
    const result = dated(found, kept, this.clock.nowMs());
    state.seenPlan = higher(state.seenPlan, seenIn(found.planned));
    told(result);
    if (result.planned === planned && isSame(result.release, known)) await this.memory.confirm(device);
    else if (result.planned) await this.keepCatalogue(state, result.planned, result.release, planned, search);
    else if (result.release) await this.keepRelease(state, result.release, planned, search);
  }

  /**
   * Returns what to serve of a product of which nothing is known, after `failure`: what was served before the start.
   * Returns undefined if the registry has answered that there is nothing. Then the stored search is dropped, so that a
   * later start does not use it.
   */
  async instead(state: DeviceState, failure: OtaError, signal: AbortSignal): Promise<Recalled | undefined> {
    const { device } = state;
    if (OtaError.isAnswer(failure) && !(failure instanceof PlanRefused)) {
      await this.forget(device, state.seenPlan);
      return undefined;
    }
    const kept = await this.memory.recall(device);
    if (!kept) return undefined;
    const ageMs = Math.max(this.clock.nowMs() - kept.confirmedAtMs, 0);
    const found = this.isTooOld(ageMs) ? undefined : await this.replay(device, kept, signal);
    if (!found) return undefined;
    state.seenPlan = higher(state.seenPlan, kept.plan);
    this.logger.log({
      event: 'release.recalled',
      device,
      version: found.release?.version,
      ageSeconds: Math.round(ageMs / 1000),
    });
    return { found, ageMs };
  }

  /** Returns the release of an entry, by the answers that were stored of it. Returns undefined if they do not suffice. */
  async deliver(entry: CatalogueEntry, signal: AbortSignal): Promise<Release | undefined> {
    const answers = (await this.memory.recall(entry.product))?.parts?.[entry.tag];
    if (!answers) return undefined;
    const search = new Search(Transcript.replaying(answers), signal);
    return this.finder.deliver(entry, undefined, search).catch(() => undefined);
  }

  /** Drops the stored search of `device`, except the serial of its plan. */
  async forget(device: string, plan: SeenPlan | undefined): Promise<void> {
    await this.memory.forget(device, plan);
  }

  /**
   * Repeats the stored search, and verifies the result again. Returns undefined if nothing is stored that may be
   * served.
   */
  private async replay(device: string, kept: Kept, signal: AbortSignal): Promise<Found | undefined> {
    const answers = Object.assign({}, kept.answers, ...Object.values(kept.parts ?? {})) as Answers;
    if (Object.keys(answers).length === 0) return undefined;
    try {
      const found = await this.searches.find(
        device,
        {
          release: undefined,
          planned: undefined,
          seen: kept.plan,
          wasPlanned: false,
          dropsMissing: false,
          recall: () => Promise.resolve(undefined),
        },
        new Search(Transcript.replaying(answers), signal),
      );
      return dated(found, kept, this.clock.nowMs());
    } catch (error) {
      this.logger.warn({ event: 'release.not_recalled', device, ...explained(error) });
      // Later answers of the registry do not depend on it.
      this.finder.verifyAnew(device);
      return undefined;
    }
  }

  /** Stores the answers about the release of a product without a plan. */
  private async keepRelease(
    { device, seenPlan: plan }: DeviceState,
    release: Release,
    before: Planned | undefined,
    search: Search,
  ): Promise<void> {
    // If the plan has ended, the release may be one of its versions, about which nothing was asked again.
    const stored = before && (await this.memory.recall(device))?.parts?.[release.tag];
    const answers = { ...stored, ...search.answers() };
    const narrow = narrowed(answers, this.finder.repositoryOf(device), release.tag);
    await this.memory.keep({ device, answers: narrow, plan, release });
  }

  /** Stores the answers about the plan and each version. Those about what has not changed were stored before. */
  private async keepCatalogue(
    { device, seenPlan }: DeviceState,
    { inForce, catalogue }: Planned,
    release: Release | undefined,
    before: Planned | undefined,
    search: Search,
  ): Promise<void> {
    const stored = before && (await this.memory.recall(device))?.parts;
    const partOf = (name: string, isKnown: boolean): [string, Answers] => [
      name,
      isKnown ? { ...stored?.[name], ...search.answers(name) } : search.answers(name),
    ];
    const known = new Set(before?.catalogue.releases);
    const parts = Object.fromEntries([
      partOf(PLAN_TAG, before?.inForce === inForce),
      ...catalogue.releases.map((entry) => partOf(entry.tag, known.has(entry))),
    ]);
    const tags = [PLAN_TAG, ...catalogue.releases.map(({ tag }) => tag)];
    const answers = { [`tags ${this.finder.repositoryOf(device)}`]: tags };
    await this.memory.keep({ device, answers, parts, plan: seenPlan, release });
  }
}

/** Returns the plan with the higher serial. */
function higher(a: SeenPlan | undefined, b: SeenPlan | undefined): SeenPlan | undefined {
  return !a || (b && b.serial > a.serial) ? b : a;
}

function seenIn(planned: Planned | undefined): SeenPlan | undefined {
  return planned && { serial: planned.inForce.plan.serial, digest: planned.inForce.digest };
}

function isSame(release: Release | undefined, known: Release | undefined): boolean {
  return release ? release.isUnchanged(known) : known === undefined;
}

/**
 * Returns `found` with the date that its release had before the start. If another release was stored, the date is later
 * than the stored one.
 */
function dated(found: Found, kept: Kept | undefined, nowMs: number): Found {
  const { release, planned } = found;
  if (!release || kept?.currentSince === undefined) return found;
  const isSameRelease = kept.version === release.version && kept.manifestDigest === release.manifestDigest;
  const redated = release.datedFrom(isSameRelease ? kept.currentSince : dateAfter(kept.currentSince, nowMs));
  for (const entry of planned?.catalogue.releases ?? []) if (entry.release === release) entry.release = redated;
  return { ...found, release: redated };
}
