import type { Clock } from '../clock.js';
import { OtaError } from '../errors.js';
import { PLAN_TAG, type Catalogue, type Selector, type Standings } from '../plan/index.js';
import type { CatalogueEntry } from './catalogue-entry.js';
import { CatalogueFinder, type Interest } from './catalogue-finder.js';
import { NewestRelease } from './newest-release.js';
import { NoFirmware } from './no-firmware.js';
import { MAX_PASSED_OVER } from './passed-over.js';
import type { PlanFinder, PlanInForce, SeenPlan } from './plan-finder.js';
import { PlanRefused } from './plan-refused.js';
import type { ReleaseFinder } from './release-finder.js';
import { dateAfter, type Release } from './release.js';
import type { Search } from './search.js';

/** The plan of a product, and what may be served by it. */
export interface Planned {
  readonly inForce: PlanInForce;
  readonly catalogue: Catalogue<CatalogueEntry>;
}

/** What is known of a product when it is searched. */
export interface Known {
  readonly release: Release | undefined;
  readonly planned: Planned | undefined;
  readonly seen: SeenPlan | undefined;
  /** Whether the product had a plan before a restart. */
  readonly wasPlanned: boolean;
  /** Whether versions whose manifest has been missing for long are dropped. */
  readonly dropsMissing: boolean;
  /** Returns the plan and catalogue that were in force before a restart. */
  readonly recall: () => Promise<Planned | undefined>;
}

/** The result of a search for the releases of a product. */
export interface Found {
  /** The release that everybody is offered. Undefined if the plan offers none to everybody. */
  readonly release: Release | undefined;
  /** Number of newer versions that are not trusted. */
  readonly passedOver: number;
  /** Undefined if the product has no plan. */
  readonly planned: Planned | undefined;
  /** Why the plan in the registry was not taken, so that an earlier one goes on. */
  readonly refusal: PlanRefused | undefined;
}

/**
 * Searches the registry for the plan of a product and for what it offers. Without a plan, that is the newest release.
 */
export class ProductSearch {
  private readonly catalogues: CatalogueFinder;
  private readonly newest: NewestRelease;

  constructor(
    private readonly finder: ReleaseFinder,
    private readonly plans: PlanFinder,
    private readonly selector: Selector,
    private readonly standings: Standings,
    private readonly clock: Clock,
  ) {
    this.catalogues = new CatalogueFinder(finder);
    this.newest = new NewestRelease(finder);
  }

  /**
   * Returns what is served of `product`. If nothing has changed, returns what is known itself, which costs one list of
   * tags and one HEAD for the plan and for each version of interest. Rejects with OtaError.
   */
  async find(product: string, known: Known, search: Search): Promise<Found> {
    const repository = this.finder.repositoryOf(product);
    const tags = await search.part().listTags(repository, search.signal);
    if (!tags.includes(PLAN_TAG) && !(await this.isPlanned(product, known, search))) {
      const candidates = await this.finder.candidatesOf(product, tags);
      const { release, passedOver } = await this.newest.of(product, candidates, known.release, search);
      return { release, passedOver, planned: undefined, refusal: undefined };
    }
    const { inForce, before, refusal } = await this.planOf(product, known, search);
    const candidates = await this.finder.candidatesOf(product, tags);
    for (let tries = 0; ; tries++) {
      const entries = before?.catalogue.releases ?? [];
      const { dropsMissing } = known;
      const found = await this.catalogues.of(
        product,
        inForce.plan,
        candidates,
        { entries, dropsMissing, isFrozen: refusal !== undefined },
        search,
      );
      const planned = plannedOf(product, inForce, found, before);
      try {
        const release = await this.default(planned.catalogue, known.release, search);
        return { release, passedOver: found.passedOver, planned, refusal };
      } catch (error) {
        // Its firmware was found to be none when it was pulled. The next round does not consider it.
        if (!(error instanceof NoFirmware) || tries === MAX_PASSED_OVER) throw error;
      }
    }
  }

  /** Returns the entry that everybody is offered now. */
  defaultEntry(catalogue: Catalogue<CatalogueEntry>): CatalogueEntry | undefined {
    const { product } = catalogue;
    return this.selector.select(catalogue, { product }, this.clock.nowMs(), { rollouts: this.standings }).release;
  }

  /**
   * Returns the release of `entry` as the current one after `before`: with a later date. Rejects with OtaError.
   */
  async current(entry: CatalogueEntry, before: Release | undefined, search: Search): Promise<Release> {
    const isSame = before?.version === entry.version && before.manifestDigest === entry.manifestDigest;
    if (isSame && before.isComplete && before.tag === entry.tag && before.signer?.name === entry.signer?.name)
      return (entry.release = before);
    const release =
      entry.release?.isComplete && entry.release.signer?.name === entry.signer?.name
        ? entry.release
        : await this.finder.deliver(entry, undefined, search);
    const since = isSame ? before.currentSince : dateAfter(before?.currentSince, this.clock.nowMs());
    return (entry.release = release.datedFrom(since));
  }

  private async default(
    catalogue: Catalogue<CatalogueEntry>,
    known: Release | undefined,
    search: Search,
  ): Promise<Release | undefined> {
    const entry = this.defaultEntry(catalogue);
    return entry && this.current(entry, known, search);
  }

  /**
   * Returns whether the product still has its plan, although the list of tags lacks it: an incomplete list must not
   * release everything to everybody.
   */
  private async isPlanned(product: string, known: Known, search: Search): Promise<boolean> {
    if (!known.planned && !known.wasPlanned) return false;
    if (await this.plans.isThere(product, search))
      throw new OtaError(
        'protocol',
        `the registry has the tag ${PLAN_TAG} of ${product}, but does not list it. Check the registry and its storage`,
      );
    return false;
  }

  /** Returns the plan in force, and what was served before: by the same or by an older plan. */
  private async planOf(
    product: string,
    known: Known,
    search: Search,
  ): Promise<{ inForce: PlanInForce; before: Planned | undefined; refusal: PlanRefused | undefined }> {
    try {
      const inForce = await this.plans.find(product, known.planned?.inForce, known.seen, search);
      return { inForce, before: known.planned, refusal: undefined };
    } catch (error) {
      if (!(error instanceof PlanRefused)) throw error;
      const before = known.planned ?? (await known.recall());
      if (!before || !this.plans.stillTrusts(product, before.inForce)) throw error;
      return { inForce: before.inForce, before, refusal: error };
    }
  }
}

/** Returns the known plan and catalogue if nothing has changed. */
function plannedOf(product: string, inForce: PlanInForce, { entries }: Interest, before: Planned | undefined): Planned {
  const known = before?.catalogue.releases;
  const isSame = known?.length === entries.length && entries.every((entry, i) => entry === known[i]);
  const catalogue =
    before && isSame && before.inForce.plan === inForce.plan
      ? before.catalogue
      : { product, plan: inForce.plan, releases: entries };
  if (before?.inForce === inForce && before.catalogue === catalogue) return before;
  return { inForce, catalogue };
}
