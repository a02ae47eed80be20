export type { PlanStatus, RolloutState, RolloutStatus } from './rollout-status.js';
export { PlanStatuses } from './plan-statuses.js';
export { Announcing, type Announcement } from './announcing.js';
export type { RolloutEvent, RolloutEventKind } from './rollout-event.js';
export { RolloutModule, StandingsModule } from './rollout.module.js';
export { RolloutRunner } from './rollout-runner.js';
export { Rollouts, type PlannedCatalogue } from './rollouts.js';
