export { ControlModule } from './control.module.js';
export type { DeviceStatus, NotifierStatus, Status } from './status.js';
