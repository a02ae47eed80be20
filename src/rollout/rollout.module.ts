import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { PlanSelector, Selector, Standings } from '../plan/index.js';
import { Announcing } from './announcing.js';
import { PlanStatuses } from './plan-statuses.js';
import { RolloutRunner } from './rollout-runner.js';
import { Rollouts } from './rollouts.js';
import { RolloutStates } from './rollout-states.js';

/** Provides what decides by a plan: Selector and Standings. `imports` must provide RolloutLedger. */
@Module({})
export class StandingsModule {
  static forRoot({ imports = [] }: Pick<ModuleMetadata, 'imports'>): DynamicModule {
    return {
      module: StandingsModule,
      imports,
      providers: [
        { provide: Selector, useClass: PlanSelector },
        { provide: Standings, useClass: RolloutStates },
      ],
      exports: [Selector, Standings],
    };
  }
}

/**
 * Provides Rollouts, PlanStatuses, Announcing and RolloutRunner, which lets rollouts go on. `imports` must provide ReleaseService,
 * Fleet, RolloutLedger, Selector and Standings.
 */
@Module({})
export class RolloutModule {
  static forRoot({ imports = [] }: Pick<ModuleMetadata, 'imports'>): DynamicModule {
    return {
      module: RolloutModule,
      imports,
      providers: [Rollouts, RolloutRunner, PlanStatuses, Announcing],
      exports: [Rollouts, RolloutRunner, PlanStatuses, Announcing],
    };
  }
}
