export type { Catalogue, Servable } from './catalogue.js';
export * from './plan.js';
export { Standings, type RolloutStanding, type Standing, type UnitStanding, type FailedRelease } from './standing.js';
export { Selector, type Asking, type Reason, type Selection, type Step } from './selector.js';
export { PlanSelector } from './plan-selector.js';
export { parsePlan } from './parse-plan.js';
export { MAX_PLAN_BYTES } from './document.js';
export { RecentUnits } from './recent-units.js';
export { shareOf } from './shares.js';
export {
  advance,
  haltReason,
  isPaused,
  isTimed,
  percentText,
  stageAt,
  waitsFor,
  type Outcomes,
  type ReachedStage,
} from './stages.js';
export { clockText, isOpen, zoneFor, ZONE_ATTRIBUTE } from './window.js';
export { simulate, type Happening, type Sample, type Simulation, type SimulationOptions } from './simulation.js';
export {
  duration as durationKind,
  share as shareKind,
  plainVersion,
  version as versionKind,
  type Kind,
} from './kinds.js';
