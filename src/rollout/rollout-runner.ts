import { Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { Subject, type Observable, type Subscription } from 'rxjs';
import { Clock } from '../clock.js';
import { explained } from '../errors.js';
import { ReleaseService } from '../firmware/index.js';
import { Fleet, RolloutLedger, type Tally } from '../fleet/index.js';
import { RolloutMeter, type RolloutSample } from '../metrics/index.js';
import { advance, haltReason, type Plan, type Rollout } from '../plan/index.js';
import { every, type Timer } from '../timers.js';
import { progressOf, type Progress } from './progress.js';
import { LOG_LINES, type RolloutEvent, type RolloutEventKind } from './rollout-event.js';
import { Rollouts, type PlannedCatalogue } from './rollouts.js';
import { tally } from './tallying.js';

/** How often rollouts are looked at: a halt must take effect within seconds. */
const LOOK_MS = 1_000;
const NO_UNITS: Tally = { offered: 0, installed: 0, failed: 0 };

/** How far a rollout was. It is named here, so that metrics do not ask the plan of each product. */
interface Followed extends Progress {
  readonly version: string;
  readonly key: string;
}

/** What was last seen of the rollouts of a product. */
interface Seen {
  readonly plan: Plan;
  /** How far each rollout of the plan was. */
  readonly progress: readonly Followed[];
  /** When the clock changes something, in milliseconds since the epoch. */
  readonly dueMs: number;
}

/**
 * Lets rollouts go on: counts how installs ended, notes stages that were reached, and halts. Every second, it looks at each
 * product whose counts have changed, or for which it is time.
 *
 * @publicApi
 */
@Injectable()
export class RolloutRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('RolloutRunner');
  private readonly subject = new Subject<RolloutEvent>();
  private readonly seen = new Map<string, Seen>();
  /** Products whose counts have changed since the last look. */
  private readonly counted = new Set<string>();
  /** Products whose last look has failed. */
  private readonly failing = new Set<string>();
  private readonly subscriptions: Subscription[] = [];
  private timer: Timer | undefined;

  /** @internal Created by Nest. */
  constructor(
    private readonly rollouts: Rollouts,
    private readonly releases: ReleaseService,
    private readonly fleet: Fleet,
    private readonly ledger: RolloutLedger,
    private readonly clock: Clock,
    meter: RolloutMeter,
  ) {
    meter.observe(() => this.samples());
  }

  /** Every event of every rollout. The first look at a rollout tells how far it is. */
  get events(): Observable<RolloutEvent> {
    return this.subject;
  }

  onApplicationBootstrap(): void {
    this.subscriptions.push(
      this.fleet.changes.subscribe((change) => {
        const catalogue = this.rollouts.planned(change.product);
        if (catalogue && tally(this.ledger, catalogue, change)) this.counted.add(change.product);
      }),
      this.ledger.changes.subscribe((product) => {
        this.lookAlone(product);
      }),
      this.releases.planChanges.subscribe((product) => {
        this.lookAlone(product);
      }),
    );
    for (const product of this.releases.plannedProducts()) this.lookAlone(product);
    this.timer = every(LOOK_MS, () => {
      this.lookAtDue();
    });
  }

  beforeApplicationShutdown(): void {
    this.timer?.stop();
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    this.subject.complete();
  }

  /** Looks at the products whose counts have changed, or for which it is time. */
  lookAtDue(): void {
    const nowMs = this.clock.nowMs();
    const due = new Set(this.counted);
    this.counted.clear();
    for (const [product, { dueMs }] of this.seen) if (nowMs >= dueMs) due.add(product);
    for (const product of due) this.lookAlone(product);
  }

  /** Looks at the rollouts of a product. If that fails, those of the others still go on, and it is tried again. */
  private lookAlone(product: string): void {
    try {
      this.look(product);
      this.failing.delete(product);
    } catch (error) {
      this.counted.add(product);
      if (this.failing.has(product)) return;
      this.failing.add(product);
      this.logger.error({ event: 'rollout.look_failed', device: product, ...explained(error) });
    }
  }

  /** Looks at the rollouts of a product now. */
  look(product: string): void {
    const catalogue = this.rollouts.planned(product);
    const before = this.seen.get(product);
    if (!catalogue) {
      if (before) this.end(product, before, []);
      if (before && this.hasEnded(product)) this.keep(product, before.plan, []);
      this.seen.delete(product);
      return;
    }
    const { plan } = catalogue;
    const nowMs = this.clock.nowMs();
    const progress = plan.rollouts.map((rollout) => {
      const { version, key } = rollout;
      return { version, key, ...this.advanced(product, rollout, nowMs) };
    });
    this.seen.set(product, { plan, progress, dueMs: dueMsOf(plan.rollouts, progress, nowMs) });
    if (before?.plan !== plan) this.keep(product, before?.plan, plan.rollouts);
    if (before && before.plan !== plan) this.end(product, before, plan.rollouts);
    let hasChanged = false;
    for (const [i, rollout] of plan.rollouts.entries()) {
      const last = before?.progress.find(({ version }) => version === rollout.version);
      const now = progress[i];
      if (now && this.tell(catalogue, rollout, last, now)) hasChanged = true;
    }
    if (hasChanged) this.settle(product);
  }

  /** Returns whether the plan of a product was deleted. One that was refused or lost its trust may come back. */
  private hasEnded(product: string): boolean {
    const standing = this.releases.planStanding(product);
    return standing !== undefined && standing.failure === undefined;
  }

  /** Drops the records of rollouts that have ended. What a shared ledger has besides may be of a replica with a newer plan. */
  private keep(product: string, before: Plan | undefined, rollouts: readonly Rollout[]): void {
    this.ledger.keep(product, keysOf(rollouts), this.ledger.isShared ? keysOf(before?.rollouts ?? []) : undefined);
  }

  /** Halts a rollout, or notes the stage that it has reached, and returns how far it is. */
  private advanced(product: string, rollout: Rollout, nowMs: number): Progress {
    const { key } = rollout;
    const record = this.ledger.find(product, key);
    if (record?.halt) return progressOf(rollout, record, nowMs);
    const reason = record && haltReason(rollout, record.tally);
    if (reason !== undefined) this.ledger.halt(product, key, { reason, atMs: nowMs });
    else {
      const stage = advance(rollout, record?.stage, record?.tally ?? NO_UNITS, nowMs);
      if (stage) this.ledger.reach(product, key, stage);
    }
    return progressOf(rollout, this.ledger.find(product, key), nowMs);
  }

  /** Tells what has changed since the last look. Returns whether other units are offered the version now. */
  private tell(catalogue: PlannedCatalogue, rollout: Rollout, before: Progress | undefined, now: Progress): boolean {
    if (before?.state === now.state && before.stage === now.stage) return false;
    const { product } = catalogue;
    if (now.state === 'scheduled') return false;
    const kind = kindOf(before, now);
    const reason = now.state === 'halted' ? this.ledger.find(product, rollout.key)?.halt?.reason : now.waitsFor;
    this.emit(kind, product, rollout, now.percent, reason, now.stage + 1);
    if (before === undefined || before.state === 'scheduled') this.pull(catalogue, rollout);
    return kind !== 'waiting';
  }

  /** Makes the release current that everybody is offered now. */
  private settle(product: string): void {
    this.releases.settle(product).catch((error: unknown) => {
      this.logger.warn({ event: 'rollout.not_settled', device: product, ...explained(error) });
    });
  }

  /** Tells that rollouts have ended that the plan does not contain any more. */
  private end(product: string, { plan }: Seen, rollouts: readonly Rollout[]): void {
    const left = new Set(rollouts.map(({ version }) => version));
    for (const rollout of plan.rollouts)
      if (!left.has(rollout.version)) this.emit('ended', product, rollout, 0, undefined, 0);
  }

  private emit(
    kind: RolloutEventKind,
    product: string,
    { version, channels, stages }: Rollout,
    percent: number,
    reason: string | undefined,
    stage: number,
  ): void {
    const line = {
      ...LOG_LINES[kind],
      device: product,
      version,
      channels: [...channels].join(','),
      ...(kind !== 'ended' && { stage, stages: stages.length, percent }),
      ...(reason !== undefined && { reason }),
    };
    if (kind === 'halted') this.logger.warn(line);
    else this.logger.log(line);
    this.subject.next({ kind, product, version, channels: [...channels], percent, reason });
  }

  /** Downloads the firmware before the first unit asks for it. */
  private pull({ product, releases }: PlannedCatalogue, { version }: Rollout): void {
    const entry = releases.find((one) => one.version === version);
    if (!entry) return;
    Promise.resolve()
      .then(() => this.rollouts.deliver(entry))
      .catch((error: unknown) => {
        this.logger.warn({ event: 'rollout.pull_failed', device: product, version, ...explained(error) });
      });
  }

  private *samples(): Iterable<RolloutSample> {
    for (const [device, { progress }] of this.seen)
      for (const { version, key, stage, state } of progress) {
        const record = this.ledger.find(device, key);
        yield {
          device,
          version,
          stage: stage + 1,
          isHalted: state === 'halted',
          isOver: state === 'complete',
          tally: record?.tally ?? NO_UNITS,
        };
      }
  }
}

const keysOf = (rollouts: readonly Rollout[]): Set<string> => new Set(rollouts.map(({ key }) => key));

/** Returns when the clock next changes how far a rollout is. What waits for reports waits for a change of its counts. */
function dueMsOf(rollouts: readonly Rollout[], progress: readonly Progress[], nowMs: number): number {
  let dueMs = Infinity;
  for (const [i, { startsMs, pausedAtMs }] of rollouts.entries()) {
    const { state, untilMs } = progress[i] ?? {};
    if (pausedAtMs > nowMs) dueMs = Math.min(dueMs, pausedAtMs);
    if (state === 'scheduled') dueMs = Math.min(dueMs, startsMs);
    if ((state === 'running' || state === 'paused') && untilMs !== undefined && untilMs > nowMs)
      dueMs = Math.min(dueMs, untilMs);
  }
  return dueMs;
}

function kindOf(before: Progress | undefined, now: Progress): RolloutEventKind {
  switch (now.state) {
    case 'halted':
      return 'halted';
    case 'paused':
      return 'paused';
    case 'waiting':
      return 'waiting';
    case 'complete':
      return 'complete';
    default: {
      const goesOn = before?.state === 'halted' || before?.state === 'paused';
      return goesOn && before.stage === now.stage ? 'resumed' : 'stage';
    }
  }
}
