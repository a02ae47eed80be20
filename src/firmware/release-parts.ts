import { Injectable, Optional, type OnApplicationShutdown } from '@nestjs/common';
import { FirmwareStore } from '../cache/index.js';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { OtaError } from '../errors.js';
import { ReleaseMeter } from '../metrics/index.js';
import { PlanSelector, Selector, Standings } from '../plan/index.js';
import { Registry } from '../registry/index.js';
import { PlanVerifier, SignatureVerifier } from '../signature/index.js';
import { Catalogues } from './catalogues.js';
import { ClockStandings } from './clock-standings.js';
import { CurrentReleases } from './current-releases.js';
import { ExactReleases } from './exact-releases.js';
import { Freshness } from './freshness.js';
import { PastReleases } from './past-releases.js';
import { PlanFinder } from './plan-finder.js';
import { ProductSearch } from './product-search.js';
import { Refresher } from './refresher.js';
import { ReleaseFinder } from './release-finder.js';
import { ReleaseImages } from './release-images.js';
import { ReleaseMemory } from './release-memory.js';
import { repositoryPrefix } from './repository-prefix.js';
import { SteppingStones } from './stepping-stones.js';

/** The parts of ReleaseService, put together. */
@Injectable()
export class ReleaseParts implements OnApplicationShutdown {
  readonly releases: CurrentReleases;
  readonly freshness: Freshness;
  readonly finder: ReleaseFinder;
  readonly refresher: Refresher;
  readonly catalogues: Catalogues;
  readonly exact: ExactReleases;
  readonly steppingStones: SteppingStones;
  readonly images: ReleaseImages;
  private readonly plans: PlanFinder;
  private readonly shutdown = new AbortController();

  constructor(
    registry: Registry,
    private readonly verifier: SignatureVerifier,
    readonly store: FirmwareStore,
    settings: Settings,
    meter: ReleaseMeter,
    memory: ReleaseMemory,
    clock: Clock,
    @Optional() planVerifier: PlanVerifier = new PlanVerifier(verifier),
    @Optional() selector: Selector = new PlanSelector(),
    @Optional() standings: Standings = new ClockStandings(),
  ) {
    const { signal } = this.shutdown;
    const { refreshInterval } = settings;
    this.releases = new CurrentReleases(store);
    this.freshness = new Freshness(settings);
    this.finder = new ReleaseFinder(
      registry,
      verifier,
      store,
      {
        prefix: repositoryPrefix(settings.repositoryPrefix),
        prereleases: settings.prereleases,
        minVersion: settings.minVersion,
        signedVersion: settings.signedVersion,
        maxUnverified: settings.maxUnverified,
        untrustedMs: refreshInterval,
        firmwareFile: settings.firmwareFile,
        maxFirmwareBytes: settings.maxFirmwareSize,
      },
      clock,
    );
    this.plans = new PlanFinder(
      planVerifier,
      (product) => this.finder.repositoryOf(product),
      refreshInterval,
      settings.signedVersion === 'require',
    );
    const searches = new ProductSearch(this.finder, this.plans, selector, standings, clock);
    const isTooOld = (ageMs: number): boolean => this.freshness.isTooOld(ageMs);
    const past = new PastReleases(memory, registry, searches, this.finder, isTooOld, clock);
    this.refresher = new Refresher(this.releases, past, meter, {
      refreshIntervalMs: refreshInterval,
      verifyAnew: (device) => {
        this.finder.verifyAnew(device);
        this.plans.verifyAnew(device);
      },
      signal,
    });
    this.catalogues = new Catalogues(this.releases, searches, this.finder, past, registry, store, signal);
    this.images = new ReleaseImages(this.finder, store, signal);
    this.exact = new ExactReleases(this.finder, registry, refreshInterval, isTooOld, signal);
    this.steppingStones = new SteppingStones(this.exact);
    meter.observe(
      () => this.releases.devices.samples(),
      () => this.releases.devices.count(({ failure }) => failure !== undefined),
      () => this.releases.devices.count(({ passedOver }) => passedOver),
      () => this.releases.devices.refusedPlans,
    );
    this.releases.changes.subscribe(({ device, after }) => {
      const state = this.releases.devices.get(device);
      if (!after && !state?.planned) void past.forget(device, state?.seenPlan);
    });
    const verifyAgain = (): void => void this.verifyAgain();
    verifier.changes.subscribe(verifyAgain);
    if (planVerifier.isSeparate) planVerifier.changes.subscribe(verifyAgain);
  }

  /** Aborts all requests to the registry. */
  get signal(): AbortSignal {
    return this.shutdown.signal;
  }

  onApplicationShutdown(): void {
    this.shutdown.abort(new OtaError('unavailable', 'the service is shutting down'));
    this.releases.end();
  }

  /**
   * Keys or policies have changed: drops releases and plans that are no longer trusted, and verifies the others again in
   * the background.
   */
  private async verifyAgain(): Promise<void> {
    this.finder.verifyAnew();
    this.plans.verifyAnew();
    this.exact.forget();
    const devices = this.releases.distrust(
      (device, signer) => this.verifier.stillTrusts(this.finder.repositoryOf(device), signer),
      (device, plan) => this.plans.stillTrusts(device, plan),
    );
    await this.refresher.verifyAgain(devices);
  }
}
