import type { OtaError } from '../errors.js';
import type { DeviceSample } from '../metrics/index.js';
import type { PlanRefused } from './plan-refused.js';
import type { Planned } from './product-search.js';
import type { SeenPlan } from './plan-finder.js';
import type { Release, ReleaseStanding } from './release.js';

/** A replaced release, and when it was last offered to a device. */
export interface Superseded {
  readonly release: Release;
  toldAtMs: number;
}

/** State of one device. Times are on the clock of `performance.now()`. */
export interface DeviceState {
  readonly device: string;
  /** The release that everybody is offered: the newest or, with a plan, the one that it offers to everybody. */
  release: Release | undefined;
  /** The plan, and what may be served by it. Undefined if the product has no plan. */
  planned: Planned | undefined;
  /** The highest serial of a plan that was seen, even if the plan is no longer there. */
  seenPlan: SeenPlan | undefined;
  /** Why the plan in the registry was not taken. Undefined if it was, or if there is none. */
  planRefusal: PlanRefused | undefined;
  /** Time of the last successful refresh. */
  confirmedAtMs: number;
  /** Why the last refresh failed or found nothing; undefined after a successful one. */
  failure: OtaError | undefined;
  /** No refresh starts before this time. */
  retryAtMs: number;
  /** Number of failed refreshes in a row. */
  failures: number;
  /** Since when the registry answers that nothing exists, while the device still has a release. */
  absentSinceMs: number | undefined;
  /** When the release was last offered to a device; `-Infinity` if never. */
  toldAtMs: number;
  /** Replaced releases that were offered in the last minutes. */
  superseded: Superseded[];
  /** Whether newer versions were skipped because they are not trusted. */
  passedOver: boolean;
  /** Whether the release has to be verified again at the next refresh. */
  verifyAgain: boolean;
  /** When the releases that were offered before lost their trust, or had to be verified again. */
  distrustedAtMs: number;
  /** When a webhook announced the change for which a refresh is searching; undefined if none did. */
  hintedAtMs: number | undefined;
  hits: number;
  misses: number;
}

/** Maximum number of devices with a release. Somebody who can push could create any number of them. */
const MAX_KNOWN = 100_000;
/**
 * Maximum number of device ids without a release, which anybody can make up. The least recently used is dropped first.
 */
const MAX_UNKNOWN = 10_000;

/** Returns whether something is served of a product: to everybody, or to some units by its plan. */
export function isServed({ release, planned }: DeviceState): boolean {
  return release !== undefined || planned !== undefined;
}

/**
 * The states of devices, limited in number. Ids without a release are stored separately, so that they cannot displace
 * devices with a release.
 */
export class KnownDevices {
  private readonly known = new Map<string, DeviceState>();
  private readonly unknown = new Map<string, DeviceState>();

  get(device: string): DeviceState | undefined {
    return this.known.get(device) ?? this.unknown.get(device);
  }

  /** Returns the state of `device`, and creates it if there is none. */
  demand(device: string): DeviceState {
    const existing = this.get(device);
    if (existing) return existing;
    const state: DeviceState = {
      device,
      release: undefined,
      planned: undefined,
      seenPlan: undefined,
      planRefusal: undefined,
      confirmedAtMs: -Infinity,
      failure: undefined,
      retryAtMs: -Infinity,
      failures: 0,
      absentSinceMs: undefined,
      toldAtMs: -Infinity,
      superseded: [],
      passedOver: false,
      verifyAgain: false,
      distrustedAtMs: -Infinity,
      hintedAtMs: undefined,
      hits: 0,
      misses: 0,
    };
    this.file(state);
    return state;
  }

  /** Moves a state to the list where it belongs. Called after its release or its plan was added or removed. */
  file(state: DeviceState): void {
    const [home, other, limit] = isServed(state)
      ? ([this.known, this.unknown, MAX_KNOWN] as const)
      : ([this.unknown, this.known, MAX_UNKNOWN] as const);
    other.delete(state.device);
    home.delete(state.device);
    home.set(state.device, state);
    const oldest = home.size > limit ? home.keys().next().value : undefined;
    if (oldest !== undefined) home.delete(oldest);
  }

  /** Returns the devices with a release or a plan. */
  served(): Iterable<DeviceState> {
    return this.known.values();
  }

  /** Returns the standing of each device with a release. */
  *standing(): Iterable<ReleaseStanding> {
    const nowMs = performance.now();
    for (const { release, confirmedAtMs, failure, passedOver } of this.known.values())
      if (release) yield { release, ageMs: nowMs - confirmedAtMs, failure, passedOver };
  }

  /** Returns the figures for metrics of each device with a release. */
  *samples(): Iterable<DeviceSample> {
    const nowMs = performance.now();
    for (const { device, confirmedAtMs, hits, misses, planned } of this.known.values())
      yield {
        device,
        ageSeconds: (nowMs - confirmedAtMs) / 1000,
        hits,
        misses,
        planSerial: planned?.inForce.plan.serial,
      };
  }

  /** Returns the number of devices with a release or a plan for which `which` is true. */
  count(which: (state: DeviceState) => boolean): number {
    let count = 0;
    for (const state of this.known.values()) if (which(state)) count++;
    return count;
  }

  /** Returns the number of devices whose plan was refused, also of those that are served nothing. */
  get refusedPlans(): number {
    let count = this.count(({ planRefusal }) => planRefusal !== undefined);
    for (const { planRefusal } of this.unknown.values()) if (planRefusal) count++;
    return count;
  }

  /** Returns the products that have a plan in force, or one that was refused. */
  *withPlan(): Iterable<string> {
    for (const states of [this.known, this.unknown])
      for (const { device, planned, planRefusal } of states.values()) if (planned ?? planRefusal) yield device;
  }

  get size(): number {
    return this.known.size;
  }
}
