import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import pLimit from 'p-limit';
import type { Observable } from 'rxjs';
import { FirmwareStore, type Lease } from '../cache/index.js';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { OtaError } from '../errors.js';
import { whyNoDeviceId } from '../repository-name.js';
import { ReleaseMeter, type RefreshResult } from '../metrics/index.js';
import { isRepositoryName } from '../oci/index.js';
import { Registry, RegistryState } from '../registry/index.js';
import { SignatureVerifier } from '../signature/index.js';
import { ExactReleases } from './exact-releases.js';
import { CurrentReleases } from './current-releases.js';
import type { DeviceState, KnownDevices } from './known-devices.js';
import { absentSince, isWithdrawn, refreshBackoffMs, reportFailure } from './refresh-failure.js';
import { PastReleases } from './past-releases.js';
import { ReleaseMemory } from './release-memory.js';
import type { Deliverable, Image, StoredImage } from './image.js';
import { ReleaseFinder, type Found } from './release-finder.js';
import { ReleaseImages } from './release-images.js';
import { repositoryPrefix } from './repository-prefix.js';
import { type Release, type ReleaseChanged, type ReleaseStanding } from './release.js';
import { traced } from '../tracing.js';
import { SteppingStones } from './stepping-stones.js';
import { SingleFlight, type Lane } from './single-flight.js';

/** How long the service remembers that a device has no firmware (CONTRACT, "Freshness"). */
const ABSENT_MS = 10_000;
/** Devices that are verified again at the same time after keys changed. */
const MAX_VERIFIED_AGAIN = 8;

/**
 * Returns the releases of devices. It answers from memory, refreshes releases when they get old, and asks the registry
 * if there is no release. Concurrent requests for a device cause one refresh.
 *
 * @publicApi
 */
@Injectable()
export class ReleaseService implements OnApplicationShutdown {
  private readonly logger = new Logger('ReleaseService');
  private readonly releases: CurrentReleases;
  private readonly devices: KnownDevices;
  private readonly finder: ReleaseFinder;
  private readonly past: PastReleases;
  private readonly exactReleases: ExactReleases;
  private readonly steppingStones: SteppingStones;
  private readonly images: ReleaseImages;
  private readonly refreshes = new SingleFlight<Release>();
  private readonly restores = new SingleFlight<void>();
  private readonly shutdown = new AbortController();
  private lastFailure: OtaError | undefined;

  /** @internal Created by Nest. */
  constructor(
    registry: Registry,
    private readonly verifier: SignatureVerifier,
    private readonly store: FirmwareStore,
    private readonly settings: Settings,
    private readonly meter: ReleaseMeter,
    memory: ReleaseMemory,
    clock: Clock,
    /** The state of the registry, for health checks and status. */
    readonly registryState: RegistryState,
  ) {
    this.releases = new CurrentReleases(store);
    this.devices = this.releases.devices;
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
        untrustedMs: settings.refreshInterval,
        firmwareFile: settings.firmwareFile,
        maxFirmwareBytes: settings.maxFirmwareSize,
      },
      clock,
    );
    this.images = new ReleaseImages(this.finder, store, this.shutdown.signal);
    this.past = new PastReleases(memory, this.finder, (ageMs) => this.isTooOld(ageMs), clock);
    this.exactReleases = new ExactReleases(
      this.finder,
      settings.refreshInterval,
      (ageMs) => this.isTooOld(ageMs),
      this.shutdown.signal,
    );
    this.steppingStones = new SteppingStones(this.exactReleases);
    meter.observe(
      () => this.devices.samples(),
      () => this.devices.count(({ failure }) => failure !== undefined),
      () => this.devices.count(({ passedOver }) => passedOver),
    );
    this.changes.subscribe(({ device, after }) => {
      if (!after) void this.past.forget(device);
    });
    verifier.changes.subscribe(() => {
      void this.verifyAgain();
    });
  }

  /** Every change of a device's current release, after it was made. */
  get changes(): Observable<ReleaseChanged> {
    return this.releases.changes;
  }

  /**
   * Returns the current release of `device`: at once if it is in memory and may still be served, otherwise a promise.
   * Throws or rejects with OtaError.
   *
   * @param nowMs the time on the clock of `performance.now()`, for callers that have just read it
   */
  current(device: string, nowMs = performance.now()): Release | Promise<Release> {
    const state = this.devices.get(device);
    if (!state?.release) return this.first(device, state);
    const { release } = state;
    const ageMs = nowMs - state.confirmedAtMs;
    if (ageMs < this.settings.refreshInterval) {
      state.hits++;
      return release;
    }
    const tooOld = this.isTooOld(ageMs);
    const waiting = nowMs < state.retryAtMs;
    if (waiting && tooOld)
      throw (
        state.failure ??
        new OtaError(
          'unavailable',
          `the registry has not confirmed the release of ${device} for longer than --max-stale. Check refresh.failed in the log`,
        )
      );
    if (this.settings.refreshInterval === 0 && !waiting) return this.asked(state, tooOld);
    if (tooOld) {
      state.misses++;
      return this.refresh(device);
    }
    if (!waiting) this.refreshBehind(device);
    state.hits++;
    return release;
  }

  /**
   * Returns the release of `device` with exactly this `version`. Rejects with OtaError.
   *
   * @param nowMs the time on the clock of `performance.now()`, for callers that have just read it
   */
  async exact(device: string, version: string, nowMs = performance.now()): Promise<Release> {
    demandDevice(device);
    // MAX_STALE also applies to requests with a version: a release that is too old has to be confirmed first.
    const stale = this.devices.get(device);
    if (stale?.release && this.isTooOld(nowMs - stale.confirmedAtMs)) await this.current(device, nowMs);
    const state = this.devices.get(device);
    const offered = state ? this.releases.stillOffered(state, nowMs) : [];
    const known = [state?.release, ...offered].find((release) => release?.version === version);
    if (known) {
      await this.deliverable(known);
      return known;
    }
    try {
      return await this.exactReleases.find(device, version);
    } catch (error) {
      const recalled = state?.release ? undefined : await this.recalledInstead(device, error);
      if (recalled?.version !== version) throw error;
      await this.deliverable(recalled);
      return recalled;
    }
  }

  /**
   * Returns the release that a unit may take if it may not take `current`, because that one requires a version that the
   * unit does not run: the highest older release that it may take. Resolves to undefined if there is none. Rejects with
   * OtaError.
   *
   * @param running the version that the unit runs; undefined if it does not say
   */
  async steppingStone(current: Release, running: string | undefined): Promise<Release | undefined> {
    const release = await this.steppingStones.below(current, running);
    if (release) await this.deliverable(release);
    return release;
  }

  /**
   * Asks the registry now for the current release of `device`, or joins a refresh in progress. Rejects with OtaError.
   */
  refresh(device: string): Promise<Release> {
    return this.refreshIn('known', device);
  }

  /**
   * Asks the registry for the current release of `device` with requests that start now: a refresh in progress may have
   * asked before a push. Verifies again what was not trusted before, because a signature may have been pushed.
   *
   * @param hintedAtMs when a webhook announced the change, on the clock of `performance.now()`
   */
  async refreshAnew(device: string, hintedAtMs?: number): Promise<Release> {
    demandDevice(device);
    await this.refreshes.running(device)?.catch(() => undefined);
    this.finder.verifyAnew(device);
    this.devices.demand(device).hintedAtMs = hintedAtMs;
    return this.refresh(device);
  }

  /** Notes that `release` was offered to a device. It stays available for the next ten minutes. */
  told(release: Release, nowMs = performance.now()): void {
    this.releases.told(release, nowMs);
  }

  /**
   * Returns undefined if the bytes of a release or image can be sent. Otherwise returns a promise that resolves when
   * they can. It rejects with OtaError if they are no longer in the cache and cannot be downloaded again.
   */
  deliverable(bytes: Deliverable): Promise<void> | undefined {
    const { sha256 } = bytes.firmware;
    if (this.store.has(sha256)) return undefined;
    return this.restores.run(sha256, () => this.finder.restore(bytes, this.shutdown.signal));
  }

  /**
   * Returns an image of `release` with all of its digests. Its bytes can be sent: if they are not in the cache, they
   * are downloaded first, and the result is a promise. Throws or rejects with OtaError.
   */
  image(release: Release, image: Image): StoredImage | Promise<StoredImage> {
    return this.images.of(release, image);
  }

  /**
   * Returns a lease of the bytes of a release or image for a download. Release it when the download ends. Returns
   * undefined if the bytes are not in the cache: see `deliverable`.
   */
  open({ firmware }: Deliverable): Lease | undefined {
    return this.store.open(firmware.sha256);
  }

  /** Returns the current releases of all devices that have one. */
  *knownReleases(): Iterable<Release> {
    for (const { release } of this.devices.withRelease()) if (release) yield release;
  }

  /** Returns the standing of each device with a release. */
  standing(): Iterable<ReleaseStanding> {
    return this.devices.standing();
  }

  /** Returns whether `device` has a release in memory. */
  knows(device: string): boolean {
    return this.devices.get(device)?.release !== undefined;
  }

  /** Why the last refresh failed, for any reason; undefined if it succeeded. */
  get refreshFailure(): OtaError | undefined {
    return this.lastFailure;
  }

  /**
   * Returns when a release of `device` last lost its trust, on the clock of `performance.now()`. Earlier offers are
   * invalid.
   */
  distrustedAtMs(device: string): number {
    return this.devices.get(device)?.distrustedAtMs ?? -Infinity;
  }

  /** Number of devices with a release in memory. */
  get knownCount(): number {
    return this.devices.size;
  }

  onApplicationShutdown(): void {
    this.shutdown.abort(new OtaError('unavailable', 'the service is shutting down'));
    this.releases.end();
  }

  private first(device: string, state: DeviceState | undefined): Promise<Release> {
    if (state?.failure && performance.now() < state.retryAtMs) throw state.failure;
    if (state) state.misses++;
    return this.refreshIn('unknown', device);
  }

  private async refreshIn(lane: Lane, device: string): Promise<Release> {
    demandDevice(device);
    return this.refreshes.run(device, () => this.ask(this.devices.demand(device)), lane);
  }

  /** REFRESH_INTERVAL=0: asks the registry. Returns the release in memory while the registry cannot be asked. */
  private async asked(state: DeviceState, tooOld: boolean): Promise<Release> {
    state.misses++;
    try {
      return await this.refresh(state.device);
    } catch (error) {
      if (state.release && !tooOld) return state.release;
      throw error;
    }
  }

  /**
   * Keys or policies have changed: drops releases that are no longer trusted, and verifies the others again in the
   * background, a few at a time.
   */
  private async verifyAgain(): Promise<void> {
    this.finder.verifyAnew();
    this.exactReleases.forget();
    const devices = this.releases.distrust((device, { signer }) =>
      this.verifier.stillTrusts(this.finder.repositoryOf(device), signer),
    );
    const limit = pLimit(MAX_VERIFIED_AGAIN);
    await Promise.all(devices.map((device) => limit(() => this.refreshAnew(device).catch(() => undefined))));
  }

  private refreshBehind(device: string): void {
    if (this.refreshes.has(device)) return;
    // Its failure is noted and logged elsewhere. Nobody waits for it here.
    this.refresh(device).catch(() => undefined);
  }

  private async ask(state: DeviceState): Promise<Release> {
    const again = state.verifyAgain;
    state.verifyAgain = false;
    try {
      const known = state.release;
      const find = (): Promise<Found> => this.finder.current(state.device, known, this.shutdown.signal, again);
      return await traced('otaflux.refresh', { device: state.device }, () =>
        this.past.search(state.device, known, find, ({ release, passedOver }) => {
          state.passedOver = passedOver > 0;
          this.confirm(state, release, again);
        }),
      );
    } catch (error) {
      const failure = OtaError.from(error, 'unavailable', `refresh of ${state.device} failed`);
      // The release was not verified again, neither by its own tag nor because of a newer version that could not be
      // verified.
      if (failure.code !== 'untrusted') state.verifyAgain ||= again;
      const past = state.release ? undefined : await this.past.instead(state.device, failure, this.shutdown.signal);
      if (past) {
        // However recently it was confirmed, the registry is asked again as soon as possible.
        state.confirmedAtMs = performance.now() - Math.max(past.ageMs, this.settings.refreshInterval);
        this.releases.change(state, past.release);
      }
      this.fail(state, failure);
      if (past) return past.release;
      throw failure;
    }
  }

  /**
   * Returns the release from before the start for a device that asks for its version while the registry cannot be
   * asked.
   */
  private async recalledInstead(device: string, error: unknown): Promise<Release | undefined> {
    if (OtaError.isAnswer(error)) return undefined;
    return this.refreshIn('unknown', device).catch(() => undefined);
  }

  private isTooOld(ageMs: number): boolean {
    const { maxStale, refreshInterval } = this.settings;
    return maxStale !== undefined && ageMs >= Math.max(maxStale, refreshInterval);
  }

  /**
   * @param again whether the release before had to be verified again, which the search for another one may not have
   *   done
   */
  private confirm(state: DeviceState, release: Release, again: boolean): void {
    const before = state.release;
    if (state.failure && before)
      this.logger.log({ event: 'refresh.recovered', device: state.device, failures: state.failures });
    Object.assign(state, {
      failure: undefined,
      failures: 0,
      retryAtMs: -Infinity,
      absentSinceMs: undefined,
      confirmedAtMs: performance.now(),
    });
    this.lastFailure = undefined;
    this.meter.refreshed(release.equals(before) ? 'unchanged' : 'changed');
    this.releases.change(state, release, !again);
    state.hintedAtMs = undefined;
  }

  /** Notes a failure. The release in memory is still served, if the failure allows it. */
  private fail(state: DeviceState, failure: OtaError): void {
    const nowMs = performance.now();
    this.meter.refreshed(failure.code satisfies RefreshResult);
    this.lastFailure = OtaError.isAnswer(failure) ? undefined : failure;
    reportFailure(this.logger, state, failure);
    state.failure = failure;
    state.failures++;
    state.retryAtMs =
      nowMs + (failure.code === 'absent' && !state.release ? ABSENT_MS : refreshBackoffMs(state.failures));
    state.absentSinceMs = absentSince(state.absentSinceMs, failure, nowMs);
    if (state.release && isWithdrawn(failure, state.absentSinceMs, nowMs, this.settings.refreshInterval)) {
      state.retryAtMs = nowMs + ABSENT_MS;
      this.releases.change(state, undefined, failure.code !== 'untrusted' && !state.verifyAgain);
    }
    this.devices.file(state);
  }
}

/** Throws for an id that cannot be a repository name, so that it never gets into a request to the registry. */
function demandDevice(device: string): void {
  if (!isRepositoryName(device))
    throw new OtaError(
      'absent',
      `${JSON.stringify(device.slice(0, 100))} is not a device id: ${whyNoDeviceId(device)}`,
    );
}
