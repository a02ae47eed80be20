export type { PlanStatus, RolloutState, RolloutStatus } from './rollout-status.js';
