export { DeviceHttpAdapter, type DeviceHandler } from './device-http-adapter.js';
export { DeviceModule, type DeviceModuleOptions } from './device.module.js';
export { DeviceProtocol, type DeviceRequest } from './device-protocol.js';
export { DeviceRouter } from './device-router.js';
