import { Injectable } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { Lease } from '../cache/index.js';
import { OtaError } from '../errors.js';
import type { Catalogue } from '../plan/index.js';
import { RegistryState } from '../registry/index.js';
import type { CatalogueEntry } from './catalogue-entry.js';
import type { Deliverable, Image, StoredImage } from './image.js';
import { isServed, type DeviceState, type KnownDevices } from './known-devices.js';
import { demandDevice, nothingForAll } from './refresher.js';
import { ReleaseParts } from './release-parts.js';
import { type PlanStanding, type Release, type ReleaseChanged, type ReleaseStanding } from './release.js';
import { SingleFlight } from './single-flight.js';

/**
 * Returns the releases of devices. It answers from memory, refreshes releases when they get old, and asks the registry
 * if there is no release. Concurrent requests for a device cause one refresh.
 *
 * @publicApi
 */
@Injectable()
export class ReleaseService {
  private readonly devices: KnownDevices;
  private readonly restores = new SingleFlight<void>();

  /** @internal Created by Nest. */
  constructor(
    private readonly parts: ReleaseParts,
    /** The state of the registry, for health checks and status. */
    readonly registryState: RegistryState,
  ) {
    this.devices = parts.releases.devices;
  }

  /** Every change of a device's current release, after it was made. */
  get changes(): Observable<ReleaseChanged> {
    return this.parts.releases.changes;
  }

  /**
   * Returns the current release of `device`: at once if it is in memory and may still be served, otherwise a promise.
   * Throws or rejects with OtaError.
   *
   * @param nowMs the time on the clock of `performance.now()`, for callers that have just read it
   */
  current(device: string, nowMs = performance.now()): Release | Promise<Release> {
    const state = this.devices.get(device);
    if (!state || !isServed(state)) return this.first(device, state);
    const advice = this.parts.freshness.of(state, nowMs);
    if (advice === 'refuse')
      throw (
        state.failure ??
        new OtaError(
          'unavailable',
          `the registry has not confirmed the release of ${device} for longer than --max-stale. Check refresh.failed in the log`,
        )
      );
    if (advice === 'ask') return this.asked(state, nowMs);
    if (advice === 'wait') {
      state.misses++;
      return this.refresh(device);
    }
    if (advice === 'refresh') this.parts.refresher.refreshBehind(device);
    state.hits++;
    if (state.release) return state.release;
    throw nothingForAll(state);
  }

  /**
   * Returns the plan of a product and what may be served by it, newest first, as it is in memory. Returns undefined if the
   * product has no plan, or if nothing is known of it: `current` asks the registry, and keeps it fresh. If `current`
   * rejects with `absent`, a plan may still offer releases to some units.
   */
  catalogue(product: string): Catalogue<CatalogueEntry> | undefined {
    return this.devices.get(product)?.planned?.catalogue;
  }

  /**
   * Returns the release of an entry of a catalogue. Its bytes can be sent: if they are not in the cache, they are
   * downloaded first, and the result is a promise. Rejects with OtaError.
   */
  deliver(entry: CatalogueEntry): Release | Promise<Release> {
    return this.parts.catalogues.deliver(entry);
  }

  /**
   * Makes the release current that the plan of a product offers to everybody now, after time has passed or a rollout has
   * changed. Sends no request to the registry, unless the firmware has to be downloaded. Rejects with OtaError.
   */
  settle(product: string): Promise<void> {
    return this.parts.catalogues.settle(product);
  }

  /** The product whose plan, or what may be served by it, has changed or ended: after it was made. */
  get planChanges(): Observable<string> {
    return this.parts.releases.planChanges;
  }

  /** Returns the products that have a plan in force, or one that was refused. */
  plannedProducts(): Iterable<string> {
    return this.devices.withPlan();
  }

  /** Returns the plan of a product, and why the plan in the registry was not taken. */
  planStanding(product: string): PlanStanding | undefined {
    return this.parts.catalogues.standing(product);
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
    if (stale && isServed(stale) && this.parts.freshness.isTooOld(nowMs - stale.confirmedAtMs))
      await this.refresh(device);
    const state = this.devices.get(device);
    const entry = state?.planned?.catalogue.releases.find((one) => one.version === version);
    if (entry) return this.deliver(entry);
    const offered = state ? this.parts.releases.stillOffered(state, nowMs) : [];
    const known = [state?.release, ...offered].find((release) => release?.version === version);
    if (known) {
      await this.deliverable(known);
      return known;
    }
    try {
      return await this.parts.exact.find(device, version);
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
    const release = await this.parts.steppingStones.below(current, running);
    if (release) await this.deliverable(release);
    return release;
  }

  /**
   * Asks the registry now for the current release of `device`, or joins a refresh in progress. Rejects with OtaError.
   */
  refresh(device: string): Promise<Release> {
    return this.parts.refresher.refresh(device);
  }

  /**
   * Asks the registry for the current release of `device` with requests that start now: a refresh in progress may have
   * asked before a push. Verifies again what was not trusted before, because a signature may have been pushed.
   *
   * @param hintedAtMs when a webhook announced the change, on the clock of `performance.now()`
   */
  refreshAnew(device: string, hintedAtMs?: number): Promise<Release> {
    return this.parts.refresher.refreshAnew(device, hintedAtMs);
  }

  /** Notes that `release` was offered to a device. It stays available for the next ten minutes. */
  told(release: Release, nowMs = performance.now()): void {
    this.parts.releases.told(release, nowMs);
  }

  /**
   * Returns undefined if the bytes of a release or image can be sent. Otherwise returns a promise that resolves when
   * they can. It rejects with OtaError if they are no longer in the cache and cannot be downloaded again.
   */
  deliverable(bytes: Deliverable): Promise<void> | undefined {
    const { sha256 } = bytes.firmware;
    if (this.parts.store.has(sha256)) return undefined;
    return this.restores.run(sha256, () => this.parts.finder.restore(bytes, this.parts.signal));
  }

  /**
   * Returns an image of `release` with all of its digests. Its bytes can be sent: if they are not in the cache, they
   * are downloaded first, and the result is a promise. Throws or rejects with OtaError.
   */
  image(release: Release, image: Image): StoredImage | Promise<StoredImage> {
    return this.parts.images.of(release, image);
  }

  /**
   * Returns a lease of the bytes of a release or image for a download. Release it when the download ends. Returns
   * undefined if the bytes are not in the cache: see `deliverable`.
   */
  open({ firmware }: Deliverable): Lease | undefined {
    return this.parts.store.open(firmware.sha256);
  }

  /** Returns the current releases of all devices that have one. */
  *knownReleases(): Iterable<Release> {
    for (const { release } of this.devices.served()) if (release) yield release;
  }

  /** Returns the standing of each device with a release. */
  standing(): Iterable<ReleaseStanding> {
    return this.devices.standing();
  }

  /** Returns whether something of `device` is in memory: a release that everybody is offered, or a plan. */
  knows(device: string): boolean {
    const state = this.devices.get(device);
    return state !== undefined && isServed(state);
  }

  /** Returns whether `device` has a release in memory that everybody is offered. */
  hasRelease(device: string): boolean {
    return this.devices.get(device)?.release !== undefined;
  }

  /** Why the last refresh failed, for any reason; undefined if it succeeded. */
  get refreshFailure(): OtaError | undefined {
    return this.parts.refresher.lastFailure;
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

  private first(device: string, state: DeviceState | undefined): Promise<Release> {
    if (state?.failure && performance.now() < state.retryAtMs) throw state.failure;
    if (state) state.misses++;
    return this.parts.refresher.refresh(device, 'unknown');
  }

  /** REFRESH_INTERVAL=0: asks the registry. Returns the release in memory while the registry cannot be asked. */
  private async asked(state: DeviceState, nowMs: number): Promise<Release> {
    state.misses++;
    const tooOld = this.parts.freshness.isTooOld(nowMs - state.confirmedAtMs);
    try {
      return await this.refresh(state.device);
    } catch (error) {
      if (state.release && !tooOld) return state.release;
      throw error;
    }
  }

  /**
   * Returns the release from before the start for a device that asks for its version while the registry cannot be
   * asked.
   */
  private async recalledInstead(device: string, error: unknown): Promise<Release | undefined> {
    if (OtaError.isAnswer(error)) return undefined;
    return this.parts.refresher.refresh(device, 'unknown').catch(() => undefined);
  }
}
