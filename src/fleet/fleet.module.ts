import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { partsOf, type Part } from '../parts.js';
import { SharedRedis } from '../replicas/index.js';
import { Fleet } from './fleet.js';
import { FleetStore } from './fleet-store.js';
import { createFleetStorage, type FleetStorage } from './create-fleet-store.js';
import { RolloutLedger } from './rollout-ledger.js';

/** Options of FleetModule. */
export interface FleetModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Your own store of units. Default: LMDB in STATE_DIR, or memory without STATE_DIR. */
  fleetStore?: Part<FleetStore>;
}

const STORAGE = Symbol('FleetStorage');

/** Provides Fleet, FleetStore and RolloutLedger. `imports` may provide SharedRedis. */
@Module({})
export class FleetModule {
  static forRoot({ imports = [], fleetStore }: FleetModuleOptions = {}): DynamicModule {
    const own = fleetStore === undefined ? undefined : partsOf([fleetStore]);
    return {
      module: FleetModule,
      imports,
      providers: [
        ...(own?.providers ?? []),
        {
          provide: STORAGE,
          useFactory: (settings: Settings, clock: Clock, shared?: SharedRedis, store?: FleetStore) =>
            createFleetStorage(settings, clock, shared, store),
          inject: [Settings, Clock, { token: SharedRedis, optional: true }, ...(own?.tokens ?? [])],
        },
        { provide: FleetStore, useFactory: ({ store }: FleetStorage) => store, inject: [STORAGE] },
        { provide: RolloutLedger, useFactory: ({ ledger }: FleetStorage) => ledger, inject: [STORAGE] },
        Fleet,
      ],
      exports: [Fleet, FleetStore, RolloutLedger],
    };
  }
}
