export { ControlModule } from './control.module.js';
export type { DeviceStatus, NotifierStatus, RegistryStatus, Status } from './status.js';
