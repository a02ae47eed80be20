import { Injectable } from '@nestjs/common';
import { Clock } from '../clock.js';
import type { CatalogueEntry } from '../firmware/index.js';
import { RolloutLedger } from '../fleet/index.js';
import type { Channel } from '../plan/index.js';
import { progressOf } from './progress.js';
import { Rollouts, type PlannedCatalogue } from './rollouts.js';

/** What is announced of a channel. */
export interface Announcement {
  readonly channel: string;
  /** The highest version that some of its units are offered, and the share of them. Undefined: none is. */
  readonly offered: { readonly entry: CatalogueEntry; readonly percent: number } | undefined;
}

/** Finds what is announced of the channels of a plan. */
@Injectable()
export class Announcing {
  constructor(
    private readonly rollouts: Rollouts,
    private readonly ledger: RolloutLedger,
    private readonly clock: Clock,
  ) {}

  /** Returns what is announced of each channel of a product. Empty without a plan. */
  of(product: string): Announcement[] {
    const catalogue = this.rollouts.planned(product);
    if (!catalogue) return [];
    return [...catalogue.plan.channels.values()].map((channel) => ({
      channel: channel.name,
      offered: this.offeredIn(catalogue, channel),
    }));
  }

  private offeredIn({ product, plan, releases }: PlannedCatalogue, channel: Channel): Announcement['offered'] {
    for (const entry of releases) {
      const { version } = entry;
      if (!channel.includes(version) || plan.yanked.has(version)) continue;
      const rollout = plan.rolloutOf.get(version);
      if (!rollout) return { entry, percent: 100 };
      const record = this.ledger.find(product, rollout.key);
      if (record?.halt) continue;
      // In other channels, the version is offered at once.
      if (!rollout.channels.has(channel.name)) return { entry, percent: 100 };
      const { percent } = progressOf(rollout, record, this.clock.nowMs());
      if (percent > 0) return { entry, percent };
    }
    return undefined;
  }
}
