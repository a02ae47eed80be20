export type { Catalogue, Servable } from './catalogue.js';
export * from './plan.js';
export { Standings, type RolloutStanding, type Standing, type UnitStanding } from './standing.js';
export { Selector, type Asking, type Reason, type Selection, type Step } from './selector.js';
