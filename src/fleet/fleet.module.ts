import { Module, type DynamicModule } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { partsOf, type Part } from '../parts.js';
import { Fleet } from './fleet.js';
import { FleetStore } from './fleet-store.js';
import { createFleetStore } from './create-fleet-store.js';
import { MemoryRolloutLedger } from './memory-rollout-ledger.js';
import { RolloutLedger } from './rollout-ledger.js';

/** Options of FleetModule. */
export interface FleetModuleOptions {
  /** Your own store of units. Default: LMDB in STATE_DIR, or memory without STATE_DIR. */
  fleetStore?: Part<FleetStore>;
}

/** Provides Fleet, FleetStore and RolloutLedger. */
@Module({})
export class FleetModule {
  static forRoot({ fleetStore }: FleetModuleOptions = {}): DynamicModule {
    const own = fleetStore === undefined ? undefined : partsOf([fleetStore]);
    return {
      module: FleetModule,
      providers: [
        ...(own?.providers ?? []),
        own
          ? { provide: FleetStore, useFactory: (store: FleetStore) => store, inject: own.tokens }
          : { provide: FleetStore, useFactory: createFleetStore, inject: [Settings] },
        { provide: RolloutLedger, useFactory: (clock: Clock) => new MemoryRolloutLedger(clock), inject: [Clock] },
        Fleet,
      ],
      exports: [Fleet, FleetStore, RolloutLedger],
    };
  }
}
