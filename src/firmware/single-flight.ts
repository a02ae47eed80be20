import pLimit, { type LimitFunction } from 'p-limit';
import { OtaError } from '../errors.js';

/**
 * The queue of a piece of work. `known`: this server needs it, or the device has a release. `unknown`: the key comes
 * from a client and may be made up.
 */
export type Lane = 'known' | 'unknown';

/** Number of concurrent pieces of work in each lane. */
export type Running = Readonly<Record<Lane, number>>;

/**
 * The registry client has 32 connections (http-transport.ts). Work for unknown keys, including that of ExactReleases,
 * leaves some of them free for known keys, even if the registry is slow.
 */
const RUNNING: Running = { known: 64, unknown: 16 };
/**
 * Number of pieces of work that may wait. Others are refused. The limit for known keys is the maximum number of devices
 * with a release.
 */
const MAX_WAITING: Running = { known: 100_000, unknown: 5_000 };

interface Flight<T> {
  readonly outcome: Promise<T>;
  readonly begin: () => Promise<void>;
  lane: Lane;
}

/**
 * Work by key. Concurrent callers of a key share one run. Known and unknown keys have separate, limited queues, so that
 * made-up keys neither pile up nor delay important work.
 */
export class SingleFlight<T> {
  private readonly flights = new Map<string, Flight<T>>();
  private readonly limits: Readonly<Record<Lane, LimitFunction>>;

  constructor({ known, unknown }: Running = RUNNING) {
    this.limits = { known: pLimit(known), unknown: pLimit(unknown) };
  }

  has(key: string): boolean {
    return this.flights.has(key);
  }

  /** Returns the work in progress for `key`, if there is any. */
  running(key: string): Promise<T> | undefined {
    return this.flights.get(key)?.outcome;
  }

  /**
   * Returns the outcome of the work in progress for `key`, or of `work`. Rejects with OtaError `unavailable` if too
   * much work is waiting.
   */
  run(key: string, work: () => Promise<T>, lane: Lane = 'known'): Promise<T> {
    const flight = this.flights.get(key);
    if (flight) {
      if (lane === 'known') this.promote(flight);
      return flight.outcome;
    }
    if (this.limits[lane].pendingCount >= MAX_WAITING[lane])
      return Promise.reject(
        new OtaError(
          'unavailable',
          'too many new devices wait for the registry. The device is answered when it asks again',
        ),
      );
    const started = flightOf(work, lane);
    this.flights.set(key, started);
    void this.limits[lane](started.begin);
    return started.outcome.finally(() => this.flights.delete(key));
  }

  /** Also queues waiting work in the known lane, because a caller of that lane needs it. */
  private promote(flight: Flight<T>): void {
    if (flight.lane === 'known') return;
    flight.lane = 'known';
    void this.limits.known(flight.begin);
  }
}

/** Returns work that starts at its first turn. A second turn ends at once. */
function flightOf<T>(work: () => Promise<T>, lane: Lane): Flight<T> {
  let begun = false;
  let settle: (outcome: Promise<T>) => void = () => undefined;
  const outcome = new Promise<T>((resolve) => (settle = resolve));
  const begin = async (): Promise<void> => {
    if (begun) return;
    begun = true;
    settle((async () => work())());
    await outcome.catch(() => undefined);
  };
  return { outcome, begin, lane };
}
