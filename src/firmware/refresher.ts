import { Logger } from '@nestjs/common';
import pLimit from 'p-limit';
import { OtaError } from '../errors.js';
import { whyNoDeviceId } from '../repository-name.js';
import type { ReleaseMeter, RefreshResult } from '../metrics/index.js';
import { isRepositoryName } from '../oci/index.js';
import { traced } from '../tracing.js';
import type { CurrentReleases } from './current-releases.js';
import { isServed, type DeviceState, type KnownDevices } from './known-devices.js';
import type { PastReleases } from './past-releases.js';
import { PlanRefused } from './plan-refused.js';
import type { Found } from './product-search.js';
import { absentSince, isWithdrawn, refreshBackoffMs, reportFailure } from './refresh-failure.js';
import type { Release } from './release.js';
import { SingleFlight, type Lane } from './single-flight.js';

/** How long the service remembers that a device has no firmware (CONTRACT, "Freshness"). */
export const ABSENT_MS = 10_000;
/** Devices that are verified again at the same time after keys changed. */
const MAX_VERIFIED_AGAIN = 8;

export interface RefresherOptions {
  readonly refreshIntervalMs: number;
  /** Forgets which versions and plans of a product were not trusted, so that they are verified again. */
  readonly verifyAnew: (device: string) => void;
  readonly signal: AbortSignal;
}

/** Asks the registry what is served of each product, and notes the answers and failures. */
export class Refresher {
  private readonly logger = new Logger('ReleaseService');
  private readonly devices: KnownDevices;
  private readonly flights = new SingleFlight<Release>();
  /** Why the last refresh failed, for any reason; undefined if it succeeded. */
  lastFailure: OtaError | undefined;

  constructor(
    private readonly releases: CurrentReleases,
    private readonly past: PastReleases,
    private readonly meter: ReleaseMeter,
    private readonly options: RefresherOptions,
  ) {
    this.devices = releases.devices;
  }

  /** Asks the registry now, or joins a refresh in progress. Resolves to the current release. Rejects with OtaError. */
  async refresh(device: string, lane: Lane = 'known'): Promise<Release> {
    demandDevice(device);
    return this.flights.run(device, () => this.ask(this.devices.demand(device)), lane);
  }

  /** The same, with requests that start now, and verifies again what was not trusted. */
  async refreshAnew(device: string, hintedAtMs?: number): Promise<Release> {
    demandDevice(device);
    await this.flights.running(device)?.catch(() => undefined);
    this.options.verifyAnew(device);
    this.devices.demand(device).hintedAtMs = hintedAtMs;
    return this.refresh(device);
  }

  /** Refreshes a device in the background. */
  refreshBehind(device: string): void {
    if (this.flights.has(device)) return;
    // Its failure is noted and logged elsewhere. Nobody waits for it here.
    this.refresh(device).catch(() => undefined);
  }

  /** Refreshes devices after keys or policies have changed, a few at a time. */
  async verifyAgain(devices: readonly string[]): Promise<void> {
    const limit = pLimit(MAX_VERIFIED_AGAIN);
    await Promise.all(devices.map((device) => limit(() => this.refreshAnew(device).catch(() => undefined))));
  }

  private async ask(state: DeviceState): Promise<Release> {
    await this.search(state);
    const { release } = state;
    if (!release) throw nothingForAll(state);
    return release;
  }

  /** Searches the registry. Rejects with OtaError if nothing can be served. */
  private async search(state: DeviceState): Promise<void> {
    const { signal } = this.options;
    const again = state.verifyAgain;
    const dropsMissing = this.isLongAbsent(state);
    state.verifyAgain = false;
    try {
      await traced('otaflux.refresh', { device: state.device }, () =>
        this.past.search(state, again, dropsMissing, signal, (found) => {
          this.confirm(state, found, again);
        }),
      );
    } catch (error) {
      const failure = OtaError.from(error, 'unavailable', `refresh of ${state.device} failed`);
      // The release was not verified again, neither by its own tag nor because of a newer version that could not be
      // verified.
      if (failure.code !== 'untrusted' || failure instanceof PlanRefused) state.verifyAgain ||= again;
      const past = isServed(state) ? undefined : await this.past.instead(state, failure, signal);
      if (past) {
        // However recently it was confirmed, the registry is asked again as soon as possible.
        state.confirmedAtMs = performance.now() - Math.max(past.ageMs, this.options.refreshIntervalMs);
        this.serve(state, past.found);
      }
      this.fail(state, failure, dropsMissing);
      if (!past) throw failure;
    }
  }

  /**
   * @param again whether the release before had to be verified again, which the search for another one may not have
   *   done
   */
  private confirm(state: DeviceState, found: Found, again: boolean): void {
    if (state.failure && isServed(state))
      this.logger.log({ event: 'refresh.recovered', device: state.device, failures: state.failures });
    const { release, planned } = found;
    const isUnchanged = release ? release.equals(state.release) : !state.release && planned === state.planned;
    Object.assign(state, {
      failure: undefined,
      failures: 0,
      retryAtMs: -Infinity,
      absentSinceMs: undefined,
      confirmedAtMs: performance.now(),
    });
    this.lastFailure = undefined;
    this.meter.refreshed(isUnchanged ? 'unchanged' : 'changed');
    this.serve(state, found, !again);
    state.hintedAtMs = undefined;
  }

  private serve(state: DeviceState, { release, planned, passedOver, refusal }: Found, isTrusted = true): void {
    state.passedOver = passedOver > 0;
    state.planRefusal = refusal;
    this.releases.adopt(state, planned, isTrusted);
    this.releases.change(state, release, isTrusted);
  }

  /**
   * Notes a failure. What is in memory is still served, if the failure allows it.
   *
   * @param dropsMissing whether the search has dropped versions that are missing, so that more than those is missing
   */
  private fail(state: DeviceState, failure: OtaError, dropsMissing: boolean): void {
    const nowMs = performance.now();
    this.meter.refreshed(failure.code satisfies RefreshResult);
    this.lastFailure = OtaError.isAnswer(failure) ? undefined : failure;
    reportFailure(this.logger, state, failure);
    if (failure instanceof PlanRefused) state.planRefusal = failure;
    state.failure = failure;
    state.failures++;
    state.retryAtMs =
      nowMs + (failure.code === 'absent' && !isServed(state) ? ABSENT_MS : refreshBackoffMs(state.failures));
    state.absentSinceMs = absentSince(state.absentSinceMs, failure, nowMs);
    const withdraws = isWithdrawn(failure, state.absentSinceMs, nowMs, this.options.refreshIntervalMs);
    const isAboutVersion = state.planned !== undefined && failure.code === 'absent' && !dropsMissing;
    // A plan that must not be taken says nothing about what is served already.
    if (isServed(state) && withdraws && !isAboutVersion && !(failure instanceof PlanRefused)) {
      state.retryAtMs = nowMs + ABSENT_MS;
      const isTrusted = failure.code !== 'untrusted' && !state.verifyAgain;
      this.releases.adopt(state, undefined, isTrusted);
      this.releases.change(state, undefined, isTrusted);
    }
    this.devices.file(state);
  }

  /** Returns whether the registry has answered for long that something is missing which is served. */
  private isLongAbsent({ failure, absentSinceMs, planned }: DeviceState): boolean {
    if (!planned || !failure) return false;
    return isWithdrawn(failure, absentSinceMs, performance.now(), this.options.refreshIntervalMs);
  }
}

/** Returns the error for a product whose plan offers nothing to everybody. */
export function nothingForAll({ device, planned }: DeviceState): OtaError {
  return new OtaError(
    'absent',
    `the plan of ${device} (serial ${planned?.inForce.plan.serial ?? 0}) offers no release to units without an id. Push a version of its default channel, or change the plan`,
  );
}

/** Throws for an id that cannot be a repository name, so that it never gets into a request to the registry. */
export function demandDevice(device: string): void {
  if (!isRepositoryName(device))
    throw new OtaError(
      'absent',
      `${JSON.stringify(device.slice(0, 100))} is not a device id: ${whyNoDeviceId(device)}`,
    );
}
