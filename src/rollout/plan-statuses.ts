import { Injectable } from '@nestjs/common';
import { Clock } from '../clock.js';
import { PlanRefused, ReleaseService } from '../firmware/index.js';
import { RolloutLedger } from '../fleet/index.js';
import type { Rollout } from '../plan/index.js';
import { progressOf } from './progress.js';
import type { PlanStatus, RolloutStatus } from './rollout-status.js';

/** How far the rollouts of all products are, for people. */
@Injectable()
export class PlanStatuses {
  constructor(
    private readonly releases: ReleaseService,
    private readonly ledger: RolloutLedger,
    private readonly clock: Clock,
  ) {}

  /** Returns the plans of all products that have one, or of one product, by name. */
  all(product?: string): PlanStatus[] {
    const statuses: PlanStatus[] = [];
    for (const name of this.releases.plannedProducts()) {
      const standing = product === undefined || name === product ? this.releases.planStanding(name) : undefined;
      if (!standing) continue;
      const { plan, digest, failure } = standing;
      statuses.push({
        product: name,
        serial: plan?.serial ?? null,
        digest: digest ?? null,
        rejected: failure
          ? {
              reason: this.releases.registryState.reasonOf(failure),
              digest: failure instanceof PlanRefused ? (failure.digest ?? null) : null,
            }
          : null,
        shared: this.ledger.isShared,
        rollouts: (plan?.rollouts ?? []).map((rollout) => this.statusOf(name, rollout)),
      });
    }
    return statuses.sort((a, b) => (a.product < b.product ? -1 : 1));
  }

  private statusOf(product: string, rollout: Rollout): RolloutStatus {
    const { version, attempt, channels, stages, key, pausedAtMs } = rollout;
    const nowMs = this.clock.nowMs();
    const record = this.ledger.find(product, key);
    const progress = progressOf(rollout, record, nowMs);
    const { offered, installed, failed } = record?.tally ?? { offered: 0, installed: 0, failed: 0 };
    return {
      version,
      attempt,
      channels: [...channels],
      state: progress.state,
      stage: progress.stage + 1,
      stages: stages.length,
      percent: progress.percent,
      since: iso(progress.sinceMs),
      until: iso(progress.untilMs),
      waitsFor: progress.waitsFor ?? null,
      paused: nowMs >= pausedAtMs && (iso(pausedAtMs) ?? true),
      halted: record?.halt ? { reason: record.halt.reason, at: new Date(record.halt.atMs).toISOString() } : null,
      offered,
      installed,
      failed,
    };
  }
}

/** Returns a time in ISO 8601. Null for none, and for one that no date can be. */
function iso(ms: number | undefined): string | null {
  return ms === undefined || !(Math.abs(ms) <= 8.64e15) ? null : new Date(ms).toISOString();
}
