export { ControlModule } from './control.module.js';
export type { DeviceStatus, NotifierStatus, RegistryStatus, Status } from './status.js';
export { textOf, type Why, type WhyStep } from './why.js';
export type { PlanStatus, RolloutState, RolloutStatus } from '../rollout/index.js';
