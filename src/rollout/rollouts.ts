import { Injectable } from '@nestjs/common';
import { Clock } from '../clock.js';
import { ReleaseService, type CatalogueEntry, type Release } from '../firmware/index.js';
import { Fleet, RolloutLedger, type OfferedRelease, type UnitState } from '../fleet/index.js';
import type { UnitIdentity } from '../identity.js';
import {
  RecentUnits,
  Selector,
  Standings,
  type Asking,
  type Catalogue,
  type Selection,
  type Servable,
  type Standing,
  type Step,
} from '../plan/index.js';

/** A catalogue with a plan. */
export type PlannedCatalogue = Catalogue<CatalogueEntry> & { readonly plan: NonNullable<Catalogue['plan']> };

/** Units whose last offer may not be stored yet. */
const MAX_TAKEN = 20_000;

/** Decides by the plan of a product what its units are offered. Synchronous, for the hot path. */
@Injectable()
export class Rollouts {
  /** Offers that were taken from a rate, so that a unit that asks twice in a second takes one. */
  private readonly taken = new RecentUnits<true>(MAX_TAKEN);

  constructor(
    private readonly releases: ReleaseService,
    private readonly selector: Selector,
    private readonly standings: Standings,
    private readonly ledger: RolloutLedger,
    private readonly fleet: Fleet,
    private readonly clock: Clock,
  ) {}

  /** Returns the catalogue of a product that has a plan, otherwise undefined. */
  planned(product: string): PlannedCatalogue | undefined {
    const catalogue = this.releases.catalogue(product);
    return catalogue?.plan ? (catalogue as PlannedCatalogue) : undefined;
  }

  /**
   * Returns what a unit is offered.
   *
   * @param state what is known of the unit
   * @param nowMs on the wall clock. Default: now
   * @param tell called with each step of the decision
   */
  select(
    catalogue: PlannedCatalogue,
    asking: Asking,
    state: UnitState | undefined,
    nowMs = this.clock.nowMs(),
    tell?: (step: Step) => void,
  ): Selection<CatalogueEntry> {
    return this.selector.select(catalogue, asking, nowMs, this.standing(state, asking), tell);
  }

  /** Returns what a unit of a product without a plan is offered. */
  selectUnplanned(
    product: string,
    current: Servable | undefined,
    asking: Asking,
    state: UnitState | undefined,
    nowMs: number,
    tell?: (step: Step) => void,
  ): Selection {
    const catalogue: Catalogue = { product, plan: undefined, releases: current ? [current] : [] };
    return this.selector.select(catalogue, asking, nowMs, this.standing(state), tell);
  }

  /** Returns the release of an entry: at once if it was pulled before. Throws or rejects with OtaError. */
  deliver(entry: CatalogueEntry): Release | Promise<Release> {
    return this.releases.deliver(entry);
  }

  /** Takes an offer to a unit from what the rate of the rollout allows, if the unit was not offered the release before. */
  offered(identity: UnitIdentity | undefined, product: string, { version, manifestDigest }: OfferedRelease): void {
    const rollout = this.planned(product)?.plan.rolloutOf.get(version);
    // A client without a unit id asks again and again, and would take all that the rate allows.
    if (!rollout?.rate || identity === undefined) return;
    if (!this.isFirst(identity, manifestDigest)) return;
    const { key, rate } = rollout;
    const takeUnlessOffered = (state: UnitState | undefined): void => {
      if (state?.offer?.digest !== manifestDigest) this.ledger.take(product, key, rate);
    };
    const known = this.fleet.find(identity);
    if (known instanceof Promise) known.then(takeUnlessOffered, () => undefined);
    else takeUnlessOffered(known);
  }

  private standing(state: UnitState | undefined, asking?: Asking): Standing {
    return new KnownStanding(this.standings, this.fleet, state, asking);
  }

  /** Returns whether this server offers a unit a release for the first time, as far as it remembers. */
  private isFirst({ product, unit }: UnitIdentity, digest: string): boolean {
    if (this.taken.get(digest, product, unit)) return false;
    this.taken.set(digest, product, unit, true);
    return true;
  }
}

/** What is known of a unit. Looked up when the decision needs it. */
class KnownStanding implements Standing {
  constructor(
    readonly rollouts: Standings,
    private readonly fleet: Fleet,
    private readonly state: UnitState | undefined,
    private readonly asking: Asking | undefined,
  ) {}

  get failedDigest(): string | undefined {
    return this.lastFailure?.digest;
  }

  get failedVersion(): string | undefined {
    const failure = this.lastFailure;
    return failure?.digest === undefined ? failure?.version : undefined;
  }

  get failedBefore(): Standing['failedBefore'] {
    return this.state?.earlier?.filter((one) => one.hasFailed);
  }

  get offeredDigest(): string | undefined {
    const { asking, state, fleet } = this;
    // What it was offered within the last second is not stored yet.
    return (asking?.unit === undefined ? undefined : fleet.lastOffer(asking as UnitIdentity)) ?? state?.offer?.digest;
  }

  private get lastFailure(): UnitState['outcome'] {
    const { outcome } = this.state ?? {};
    return outcome?.outcome === 'failed' || outcome?.outcome === 'rejected' ? outcome : undefined;
  }
}
