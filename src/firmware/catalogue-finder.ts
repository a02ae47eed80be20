import pLimit from 'p-limit';
import { OtaError } from '../errors.js';
import type { Channel, Plan } from '../plan/index.js';
import type { CatalogueEntry } from './catalogue-entry.js';
import { NoFirmware } from './no-firmware.js';
import { MAX_PASSED_OVER } from './passed-over.js';
import type { ReleaseFinder } from './release-finder.js';
import type { Search } from './search.js';
import type { Candidate } from './select-version.js';

/** Versions of one channel that are examined. */
const MAX_WALKED = 500;
/** Versions that the plan names and that are examined at the same time. */
const CONCURRENCY = 4;

/** The servable versions of interest of a product, and the number of versions that are not trusted. */
export interface Interest {
  /** Newest first, each version once. */
  readonly entries: readonly CatalogueEntry[];
  readonly passedOver: number;
}

/** What is known when the versions of interest are searched. */
export interface Before {
  readonly entries: readonly CatalogueEntry[];
  /**
   * Whether only versions that are known or that the plan names may be taken: a newer plan was refused, and might hold
   * back the others.
   */
  readonly isFrozen: boolean;
  /** Whether versions whose manifest has been missing for long are dropped. */
  readonly dropsMissing: boolean;
}

/**
 * Finds the versions that a plan may offer: those that it names, and for each channel the newest ones down to the first
 * that every unit of the channel may take.
 */
export class CatalogueFinder {
  constructor(private readonly finder: ReleaseFinder) {}

  /** Returns the versions of interest among `candidates`. Rejects with OtaError if the registry cannot say. */
  async of(
    product: string,
    plan: Plan,
    candidates: readonly Candidate[],
    before: Before,
    search: Search,
  ): Promise<Interest> {
    const round = new Round(this.finder, product, before, search);
    const allowed = candidates.filter(({ version }) => !plan.yanked.has(version));
    const named = namedVersions(plan);
    const known = new Set(before.entries.map(({ version }) => version));
    const limit = pLimit(CONCURRENCY);
    const wanted = allowed.filter(({ version }) => named.has(version));
    await Promise.all(wanted.map((candidate) => limit(() => round.examine(candidate))));
    const walked = before.isFrozen
      ? allowed.filter(({ version }) => known.has(version) || named.has(version))
      : allowed;
    for (const channel of plan.channels.values()) if (channel.range) await this.walk(round, plan, channel, walked);
    return { entries: round.entriesOf(candidates), passedOver: round.untrusted };
  }

  /** Examines the versions of a channel from the newest to the first that all its units may take. */
  private async walk(round: Round, plan: Plan, channel: Channel, candidates: readonly Candidate[]): Promise<void> {
    const members = candidates.filter(({ version }) => channel.includes(version));
    let untrusted = 0;
    let withoutFirmware = 0;
    for (const candidate of members.slice(0, MAX_WALKED)) {
      const found = await round.examine(candidate);
      if (found === 'untrusted') untrusted++;
      else if (found === 'absent') withoutFirmware++;
      else if (!found.isDemanding && !hasRollout(plan, channel, candidate.version)) return;
      if (untrusted === this.finder.options.maxUnverified || withoutFirmware === MAX_PASSED_OVER) {
        round.stopped(members[0]?.version ?? '', untrusted);
        // The last good versions of the channel are better than none.
        for (const one of members) if (round.isKnown(one)) await round.examine(one);
        return;
      }
    }
  }
}

/** One round of examinations. Each tag is examined once. */
class Round {
  private readonly examined = new Map<string, Promise<CatalogueEntry | 'untrusted' | 'absent'>>();
  private readonly found = new Map<string, CatalogueEntry>();
  untrusted = 0;

  constructor(
    private readonly finder: ReleaseFinder,
    private readonly product: string,
    private readonly before: Before,
    private readonly search: Search,
  ) {}

  /** Returns the entry of a version, or why it cannot be served. Rejects with OtaError if the registry cannot say. */
  examine(candidate: Candidate): Promise<CatalogueEntry | 'untrusted' | 'absent'> {
    let examined = this.examined.get(candidate.tag);
    if (!examined) this.examined.set(candidate.tag, (examined = this.look(candidate)));
    return examined;
  }

  isKnown({ tag }: Candidate): boolean {
    return this.before.entries.some((entry) => entry.tag === tag);
  }

  /** Returns the entries that were found, in the order of `candidates`. Of two tags of a version, the first one counts. */
  entriesOf(candidates: readonly Candidate[]): CatalogueEntry[] {
    const versions = new Set<string>();
    return candidates.flatMap(({ tag, version }) => {
      const entry = this.found.get(tag);
      if (!entry || versions.has(version)) return [];
      versions.add(version);
      return [entry];
    });
  }

  stopped(newest: string, untrusted: number): void {
    if (untrusted > 0) this.finder.untrusted.searchStopped(this.finder.repositoryOf(this.product), untrusted, newest);
  }

  private async look(candidate: Candidate): Promise<CatalogueEntry | 'untrusted' | 'absent'> {
    const known = this.before.entries.find(({ tag }) => tag === candidate.tag);
    try {
      const entry = await this.finder.entry(this.product, candidate, known, this.search);
      this.found.set(candidate.tag, entry);
      return entry;
    } catch (error) {
      // A failure says nothing about this version.
      if (!OtaError.isAnswer(error)) throw error;
      if (error.code === 'absent') {
        // Its tag is listed, but its manifest is missing: the registry may be between two states.
        if (known && !(error instanceof NoFirmware) && !this.before.dropsMissing) throw error;
        return 'absent';
      }
      this.untrusted++;
      // Its tag was moved to content that is not trusted, or not yet.
      if (!known || !(await this.finder.mayKeep(this.product, known, this.search, known.tag))) return 'untrusted';
      this.found.set(candidate.tag, known);
      return known;
    }
  }
}

/** Returns the versions that a plan names: they are examined, whatever range they are in. */
function namedVersions({ channels, units, rollouts }: Plan): Set<string> {
  const named = [
    ...[...channels.values()].map(({ version }) => version),
    ...units.map(({ version }) => version),
    ...rollouts.map(({ version }) => version),
  ];
  return new Set(named.filter((version) => version !== undefined));
}

function hasRollout({ rolloutOf }: Plan, { name }: Channel, version: string): boolean {
  return rolloutOf.get(version)?.channels.has(name) ?? false;
}
