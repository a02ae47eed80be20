export { Fleet } from './fleet.js';
export type { OfferedRelease, Report, Said } from './said.js';
export { FleetModule, type FleetModuleOptions } from './fleet.module.js';
export { RolloutLedger, type RolloutRecord, type Tally } from './rollout-ledger.js';
export { endingsOf, hasFailedToInstall } from './endings.js';
export { FleetStore, type ListedUnit, type UnitChange, type UnitCounts } from './fleet-store.js';
export type { UnitChanged, UnitEvent, UnitEventKind } from './unit-event.js';
export {
  boundedAttributes,
  boundedMessage,
  OUTCOMES,
  type Downloaded,
  type Ending,
  type LastOutcome,
  type Offered,
  type Outcome,
  type UnitState,
} from './unit-state.js';
