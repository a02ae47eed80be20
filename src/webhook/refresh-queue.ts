import {
  Injectable,
  Logger,
  Optional,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Subscription } from 'rxjs';
import { backoffMs } from '../backoff.js';
import { OtaError } from '../errors.js';
import { compareVersions, ReleaseService, versionOf, type Release } from '../firmware/index.js';
import { WebhookMeter, type QueueSample } from '../metrics/index.js';
import { Alone, Replicas } from '../replicas/index.js';
import { GraceTime } from '../settings/index.js';
import { after, type Timer } from '../timers.js';
import { DeviceNames, type Concerned, type Standing } from './device-names.js';
import { Lanes } from './lanes.js';
import type { RepositoryChange } from './repository-change.js';

/** The version that the next refresh should find after a push. */
interface Expected {
  readonly version: string;
  readonly digest: string | undefined;
}

interface Work {
  readonly device: string;
  readonly standing: Standing;
  /** When the first webhook arrived, on the clock of `performance.now()`. */
  readonly sinceMs: number;
  expected: Expected | undefined;
  /** Waits for its turn, or is running. Otherwise it waits for `timer`. */
  active: boolean;
  /** A webhook arrived during the refresh, which may have asked the registry before, or shortly after it. */
  again: boolean;
  /** It was just refreshed, and pauses, so that a burst of webhooks causes one more refresh only. */
  resting: boolean;
  /** A webhook has arrived at this replica, which tells the others. */
  isOwn: boolean;
  looks: number;
  failures: number;
  timer: Timer | undefined;
}

/** Concurrent refreshes: enough to be quick, and few enough for a small registry. */
const CONCURRENCY = 8;
/** Concurrent refreshes for devices that are not known. */
const CONCURRENCY_UNKNOWN = 4;
/**
 * Times after which a refresh is repeated if it did not find the pushed version: some registries index late, and people
 * sign after the push.
 */
const LOOK_AGAIN_MS = [1_000, 5_000, 30_000];
/**
 * Pause after a refresh: one push causes several events (an index, its entries, a signature), and senders repeat them.
 */
const REST_MS = 400;
const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** After so many wrong answers in a row, the queue gives up. The next request of a device refreshes it. */
const MAX_WRONG_ANSWERS = 10;
/** Maximum number of devices that wait while the registry is slow. Known devices are accepted beyond it. */
const MAX_WAITING = 10_000;
/** Maximum number of waiting names that may not be devices. Anybody can make them up. */
const MAX_GUESSES = 100;

/** The result of adding changes: how many were queued, and how many affect no known device. */
export interface Added {
  readonly queued: number;
  readonly unknown: number;
  /** If nothing was queued: why the first change affects no device. */
  readonly reason?: string;
}

/**
 * Refreshes devices whose repositories have changed. Each device is refreshed once at a time, for any number of
 * webhooks, and again until the registry has answered.
 */
@Injectable()
export class RefreshQueue implements BeforeApplicationShutdown, OnApplicationBootstrap {
  private readonly logger = new Logger('RefreshQueue');
  private readonly waiting = new Map<string, Work>();
  private readonly lanes = new Lanes(CONCURRENCY, CONCURRENCY_UNKNOWN);
  private guesses = 0;
  private draining = false;
  private whenIdle: (() => void) | undefined;
  private hints: Subscription | undefined;

  constructor(
    private readonly releases: ReleaseService,
    private readonly names: DeviceNames,
    private readonly graceTime: GraceTime,
    meter: WebhookMeter,
    @Optional() private readonly replicas: Replicas = new Alone(),
  ) {
    meter.observe(() => this.sample());
  }

  /** From now on, refreshes what other replicas were told of, too. */
  onApplicationBootstrap(): void {
    this.hints = this.replicas.hints.subscribe((device) => {
      if (this.names.serves(device)) this.accept({ device, standing: 'known' }, undefined, false);
    });
  }

  /** Queues the devices that `changes` affect, and tells the other replicas. Returns how many changes were queued. */
  add(changes: readonly RepositoryChange[]): Added {
    let queued = 0;
    let unknown = 0;
    let reason: string | undefined;
    for (const change of changes) {
      const concerned = this.names.concernedBy(change);
      const accepted = concerned.filter((device) => this.accept(device, expectedOf(change), true));
      for (const { device } of accepted) this.replicas.hint(device);
      if (concerned.length === 0) {
        unknown++;
        reason ??= this.names.whyNone(change);
      }
      if (accepted.length > 0) queued++;
    }
    return { queued, unknown, ...(queued === 0 && reason !== undefined && { reason }) };
  }

  /**
   * Lets running refreshes finish, within the grace time. Later refreshes are dropped: after the start, the server
   * catches up.
   */
  async beforeApplicationShutdown(): Promise<void> {
    this.draining = true;
    this.hints?.unsubscribe();
    for (const work of this.waiting.values()) if (!work.active) this.finish(work);
    if (this.waiting.size === 0) return;
    let timer: Timer | undefined;
    await Promise.race([
      new Promise<void>((resolve) => (this.whenIdle = resolve)),
      new Promise<void>((resolve) => (timer = after(this.graceTime.leftMs, resolve))),
    ]);
    timer?.stop();
  }

  private accept({ device, standing }: Concerned, expected: Expected | undefined, isOwn: boolean): boolean {
    const known = this.waiting.get(device);
    if (this.draining && !known) return false;
    if (known) {
      known.expected = newer(known.expected, expected);
      known.isOwn ||= isOwn;
      if (isOwn) known.looks = known.failures = 0;
      if (known.active || known.resting) known.again = true;
      else this.start(known);
      return true;
    }
    const isFull =
      standing !== 'known' &&
      (this.waiting.size >= MAX_WAITING || (standing === 'guess' && this.guesses >= MAX_GUESSES));
    if (isFull) {
      this.logger.warn({ event: 'webhook.queue_full', device, waiting: this.waiting.size });
      return false;
    }
    const sinceMs = performance.now();
    const work: Work = {
      device,
      standing,
      sinceMs,
      expected,
      active: false,
      again: false,
      resting: false,
      isOwn,
      looks: 0,
      failures: 0,
      timer: undefined,
    };
    this.waiting.set(device, work);
    if (standing === 'guess') this.guesses++;
    this.start(work);
    return true;
  }

  private start(work: Work): void {
    work.timer?.stop();
    work.active = true;
    work.again = false;
    this.lanes.run(work.standing === 'known' || this.releases.knows(work.device), () => this.look(work));
  }

  private async look(work: Work): Promise<void> {
    const outcome = await this.releases.refreshAnew(work.device, work.sinceMs).then(
      (release) => (this.hasSeen(work, release) ? ('done' as const) : ('look-again' as const)),
      (error: unknown) => outcomeOf(error, work.standing),
    );
    work.active = false;
    // The others may have looked before the registry had it.
    if (outcome === 'done' && work.isOwn && work.looks > 0) this.replicas.hint(work.device);
    if (this.draining && work.again) this.start(work);
    else if (this.draining) this.finish(work);
    else if (work.again || outcome === 'done') this.rest(work);
    else if (outcome === 'look-again') this.later(work, LOOK_AGAIN_MS[work.looks++]);
    else this.later(work, retryMs(++work.failures, outcome));
  }

  /** Returns whether the pushed version was found. A plan may hold it back. */
  private hasSeen({ device, expected }: Work, current: Release): boolean {
    if (isThere(expected, current)) return true;
    const found = this.releases.catalogue(device)?.releases ?? [];
    return found.some(
      ({ version, manifestDigest }) =>
        version === expected?.version && (expected.digest === undefined || expected.digest === manifestDigest),
    );
  }

  private rest(work: Work): void {
    work.resting = true;
    const end = (): void => {
      work.resting = false;
      if (work.again) this.start(work);
      else this.finish(work);
    };
    work.timer = after(REST_MS, end, { background: true });
  }

  private later(work: Work, waitMs: number | undefined): void {
    if (waitMs === undefined) {
      this.finish(work);
      return;
    }
    const again = (): void => {
      this.start(work);
    };
    work.timer = after(waitMs, again, { background: true });
  }

  private finish(work: Work): void {
    work.timer?.stop();
    if (this.waiting.delete(work.device) && work.standing === 'guess') this.guesses--;
    if (this.waiting.size === 0) this.whenIdle?.();
  }

  private sample(): QueueSample {
    const waiting = [...this.waiting.values()].filter(({ resting, again }) => !resting || again);
    // The map keeps the order in which the webhooks arrived.
    const [oldest] = waiting;
    return { depth: waiting.length, oldestSeconds: oldest ? (performance.now() - oldest.sinceMs) / 1000 : 0 };
  }
}

function expectedOf({ kind, tag, digest }: RepositoryChange): Expected | undefined {
  const version = kind === 'pushed' && tag !== undefined ? versionOf(tag) : undefined;
  return version === undefined ? undefined : { version, digest };
}

function newer(a: Expected | undefined, b: Expected | undefined): Expected | undefined {
  if (!a || !b) return b ?? a;
  return compareVersions(b.version, a.version) >= 0 ? b : a;
}

/** Returns whether the pushed version, or a newer one, is current now. */
function isThere(expected: Expected | undefined, release: Release): boolean {
  const order = expected ? compareVersions(release.version, expected.version) : 1;
  return order > 0 || (order === 0 && (expected?.digest === undefined || expected.digest === release.manifestDigest));
}

/**
 * Returns what to do after an error. `absent` and `untrusted` may be temporary, and a failure is not an answer. A
 * guessed name is looked up once.
 */
function outcomeOf(error: unknown, standing: Standing): 'look-again' | 'retry' | 'retry-wrong' | 'done' {
  if (standing === 'guess' && error instanceof OtaError && error.code !== 'unavailable' && error.code !== 'untrusted')
    return 'done';
  if (!(error instanceof OtaError) || error.code === 'unavailable') return 'retry';
  return OtaError.isAnswer(error) ? 'look-again' : 'retry-wrong';
}

function retryMs(failures: number, outcome: 'retry' | 'retry-wrong'): number | undefined {
  if (outcome === 'retry-wrong' && failures > MAX_WRONG_ANSWERS) return undefined;
  return backoffMs(failures, MIN_RETRY_MS, MAX_RETRY_MS);
}
