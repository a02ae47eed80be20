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
    const record = this.ledger.find(product, rollout.key);
    return new State(this.ledger, product, rollout, stageAt(rollout, record?.stage, nowMs), record?.halt?.reason);
  }
}

/** The rate is only looked at for a unit that would be offered the version for the first time. */
class State implements RolloutStanding {
  constructor(
    private readonly ledger: RolloutLedger,
    private readonly product: string,
    private readonly rollout: Rollout,
    readonly stage: number,
    readonly halted: string | undefined,
  ) {}

  get mayOffer(): boolean {
    const { key, rate } = this.rollout;
    return rate === undefined || this.ledger.mayTake(this.product, key, rate);
  }
}
