export { CacheModule, type CacheModuleOptions } from './cache.module.js';
export type { Firmware } from './firmware-digester.js';
export { FirmwareStore, type FirmwareSource, type Lease } from './firmware-store.js';
