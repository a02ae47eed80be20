export { DeviceAuthenticator, type Access } from './access/index.js';
export { TlsFiles } from './tls/tls-files.js';
export {
  DeviceHttpAdapter,
  type ControlPlane,
  type ControlPlaneObserver,
  type DeviceHandler,
  type ListenerOptions,
} from './device-http-adapter.js';
export { DeviceModule, type DeviceModuleOptions } from './device.module.js';
export { Limits } from './limits/limits.js';
export { DeviceRouter } from './device-router.js';
