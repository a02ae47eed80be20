import { Injectable } from '@nestjs/common';
import { RolloutLedger } from '../fleet/index.js';
import { stageAt, Standings, type Rollout, type RolloutStanding } from '../plan/index.js';

/** Knows how far rollouts are, by the clock and by what the ledger has noted. */
@Injectable()
export class RolloutStates extends Standings {
  constructor(private readonly ledger: RolloutLedger) {
    super();
  }

  override of(product: string, rollout: Rollout, nowMs: number): RolloutStanding {
    const { key, rate } = rollout;
    const record = this.ledger.find(product, key);
    return {
      stage: stageAt(rollout, record?.stage, nowMs),
      halted: record?.halt?.reason,
      mayOffer: rate === undefined || this.ledger.mayTake(product, key, rate),
    };
  }
}
