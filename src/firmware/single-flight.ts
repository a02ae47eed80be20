import pLimit, { type LimitFunction } from 'p-limit';
import { OtaError } from '../errors.js';

/**
 * Whose turn work takes. `known`: we want it ourselves, or a release is known. `unknown`: somebody names a key that may be
 * made up.
 */
export type Lane = 'known' | 'unknown';

/** How much work of each lane is under way at once. */
export type Running = Readonly<Record<Lane, number>>;

/**
 * The registry client has 32 connections (http-transport.ts). Unknown keys, with what else they may cause (ExactReleases),
 * leave some of them to known ones however slowly the registry answers.
 */
const RUNNING: Running = { known: 64, unknown: 16 };
/** How much waits for its turn; beyond it work is refused. As many as there are known devices, at the most. */
const MAX_WAITING: Running = { known: 100_000, unknown: 5_000 };

interface Flight<T> {
  readonly outcome: Promise<T>;
  readonly begin: () => Promise<void>;
  lane: Lane;
}

/**
 * Work by key that many ask for and that is done once at a time. Known and unknown keys wait in lanes of their own, both
 * bounded, so that made-up keys neither pile up nor hold up what matters.
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

  /** The work under way for `key`, if there is any. */
  running(key: string): Promise<T> | undefined {
    return this.flights.get(key)?.outcome;
  }

  /** The outcome of the work under way for `key`, or of `work`. Rejects with OtaError `unavailable` when too much is waiting. */
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

  /** What waits behind made-up keys, and is wanted by those who do not make up any, takes a turn in their lane, too. */
  private promote(flight: Flight<T>): void {
    if (flight.lane === 'known') return;
    flight.lane = 'known';
    void this.limits.known(flight.begin);
  }
}

/** Work that begins at its first turn; a second one is over at once. */
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
