import { OtaError } from '../errors.js';
import type { FirmwareStore } from '../cache/index.js';
import type { Registry } from '../registry/index.js';
import type { CatalogueEntry } from './catalogue-entry.js';
import type { CurrentReleases } from './current-releases.js';
import type { PastReleases } from './past-releases.js';
import type { ProductSearch } from './product-search.js';
import type { PlanStanding, Release } from './release.js';
import type { ReleaseFinder } from './release-finder.js';
import { Search } from './search.js';
import { SingleFlight } from './single-flight.js';

/** Delivers what the plans of products offer. */
export class Catalogues {
  private readonly deliveries = new SingleFlight<Release>();
  private readonly settlings = new SingleFlight<void>();
  private readonly search: Search;

  constructor(
    private readonly releases: CurrentReleases,
    private readonly searches: ProductSearch,
    private readonly finder: ReleaseFinder,
    private readonly past: PastReleases,
    registry: Registry,
    private readonly store: FirmwareStore,
    private readonly signal: AbortSignal,
  ) {
    this.search = new Search(registry, signal);
  }

  /** Returns the release of an entry, whose bytes are in the store: at once, or after they were downloaded. */
  deliver(entry: CatalogueEntry): Release | Promise<Release> {
    const { release } = entry;
    if (release && this.store.has(release.firmware.sha256)) return release;
    const key = `${entry.product}@${entry.manifestDigest} ${entry.version}`;
    return this.deliveries.run(key, async () => (entry.release = await this.pulled(entry)));
  }

  /** Makes the release current that the catalogue of a product offers to everybody now. */
  settle(product: string): Promise<void> {
    const state = this.releases.devices.get(product);
    const catalogue = state?.planned?.catalogue;
    if (!catalogue) return Promise.resolve();
    const entry = this.searches.defaultEntry(catalogue);
    if (entry ? state.release?.equals(entry) : !state.release) return Promise.resolve();
    return this.settlings.run(product, async () => {
      const release = entry && (await this.currentOf(entry, state.release));
      // A refresh in between has decided with a newer plan.
      if (state.planned?.catalogue === catalogue) this.releases.change(state, release);
    });
  }

  /** Returns the plan of a product, and why the plan in the registry was not taken. */
  standing(product: string): PlanStanding | undefined {
    const state = this.releases.devices.get(product);
    if (!state || !(state.planned ?? state.planRefusal ?? state.seenPlan)) return undefined;
    const inForce = state.planned?.inForce;
    return {
      plan: inForce?.plan,
      digest: inForce?.manifestDigest,
      signer: inForce?.signer,
      highestSerial: state.seenPlan?.serial,
      failure: state.planRefusal,
    };
  }

  private async currentOf(entry: CatalogueEntry, before: Release | undefined): Promise<Release> {
    await this.deliver(entry);
    return this.searches.current(entry, before, this.search);
  }

  private async pulled(entry: CatalogueEntry): Promise<Release> {
    if (entry.release) {
      await this.finder.restore(entry.release, this.signal);
      return entry.release;
    }
    try {
      return await this.finder.deliver(entry, undefined, this.search);
    } catch (error) {
      const past = OtaError.isAnswer(error) ? undefined : await this.past.deliver(entry, this.signal);
      if (past) return past;
      throw error;
    }
  }
}
