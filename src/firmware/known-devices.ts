import type { OtaError } from '../errors.js';
import type { DeviceSample } from '../metrics/index.js';
import type { Release, ReleaseStanding } from './release.js';

/** What is remembered of one device. Times are on the clock of `performance.now()`. */
export interface DeviceState {
  readonly device: string;
  release: Release | undefined;
  /** When the registry last said what is current. */
  confirmedAtMs: number;
  /** Why the last refresh failed or found nothing; undefined after a good one. */
  failure: OtaError | undefined;
  /** Not to be asked for again before. */
  retryAtMs: number;
  /** Failed refreshes in a row. */
  failures: number;
  /** Since when the registry says that nothing is there, while a release is still known. */
  absentSinceMs: number | undefined;
  /** Earlier releases that were told within the last minutes. */
  superseded: Release[];
  /** Whether newer versions were passed over because they are not trusted. */
  passedOver: boolean;
  /** Whether its release has to be verified anew at the next refresh. */
  judgeAgain: boolean;
  /** When what was told before stopped to be trusted, or has to be judged again. */
  distrustedAtMs: number;
  /** When a webhook told of a change that is being looked for; undefined when none did. */
  hintedAtMs: number | undefined;
  hits: number;
  misses: number;
}

/** Devices with a release. The registry bounds them too, but not by much: whoever may push may push many. */
const MAX_KNOWN = 100_000;
/** Devices without one: ids that anybody may make up. The longest unasked is forgotten first. */
const MAX_UNKNOWN = 10_000;

/** The states of devices, bounded: those with a release apart from those without, which must not push them out. */
export class KnownDevices {
  private readonly known = new Map<string, DeviceState>();
  private readonly unknown = new Map<string, DeviceState>();

  get(device: string): DeviceState | undefined {
    return this.known.get(device) ?? this.unknown.get(device);
  }

  /** The state of `device`, made if there is none. */
  demand(device: string): DeviceState {
    const existing = this.get(device);
    if (existing) return existing;
    const state: DeviceState = {
      device,
      release: undefined,
      confirmedAtMs: -Infinity,
      failure: undefined,
      retryAtMs: -Infinity,
      failures: 0,
      absentSinceMs: undefined,
      superseded: [],
      passedOver: false,
      judgeAgain: false,
      distrustedAtMs: -Infinity,
      hintedAtMs: undefined,
      hits: 0,
      misses: 0,
    };
    this.file(state);
    return state;
  }

  /** Files a state where it belongs now; called after its release came or went. */
  file(state: DeviceState): void {
    const [home, other, limit] = state.release
      ? ([this.known, this.unknown, MAX_KNOWN] as const)
      : ([this.unknown, this.known, MAX_UNKNOWN] as const);
    other.delete(state.device);
    home.delete(state.device);
    home.set(state.device, state);
    const oldest = home.size > limit ? home.keys().next().value : undefined;
    if (oldest !== undefined) home.delete(oldest);
  }

  /** The devices that have a release. */
  withRelease(): Iterable<DeviceState> {
    return this.known.values();
  }

  /** How each device that has a release stands. */
  *standing(): Iterable<ReleaseStanding> {
    const nowMs = performance.now();
    for (const { release, confirmedAtMs, failure, passedOver } of this.known.values())
      if (release) yield { release, ageMs: nowMs - confirmedAtMs, failure, passedOver };
  }

  /** What Prometheus is told of each device that has a release. */
  *samples(): Iterable<DeviceSample> {
    const nowMs = performance.now();
    for (const { device, confirmedAtMs, hits, misses } of this.known.values())
      yield { device, ageSeconds: (nowMs - confirmedAtMs) / 1000, hits, misses };
  }

  /** How many of the devices that have a release are as `which` asks. */
  count(which: (state: DeviceState) => boolean): number {
    let count = 0;
    for (const state of this.known.values()) if (which(state)) count++;
    return count;
  }

  get size(): number {
    return this.known.size;
  }
}
