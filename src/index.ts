/** The public door of the package: what a platform team builds on. */
export { AppModule, type AppModuleOptions, type OwnParts } from './app.module.js';
export type { Plugin, PluginContext } from './cli/plugins.js';
export { OtaFluxModule, type OtaFluxAsyncOptions, type OtaFluxOptions } from './otaflux.module.js';
export { injects, type Part } from './parts.js';
export { CacheModule, FirmwareStore, type Firmware, type FirmwareSource, type Lease } from './cache/index.js';
export {
  gather,
  parseSettings,
  Settings,
  SettingsModule,
  type AsyncGiven,
  type GivenValues,
  type PlainValues,
} from './config/index.js';
export { Delivery, DeliveryModule, DeviceRefusal, type DeviceRequest } from './delivery/index.js';
export { DeviceAuthenticator, type Access } from './device/index.js';
export { DeviceHttpAdapter, DeviceModule, DeviceProtocol, DeviceRouter, type Match } from './device/index.js';
export { OtaError, type OtaErrorCode } from './errors.js';
export { FirmwareModule, Release, ReleaseService, type ReleaseChanged } from './firmware/index.js';
export { HealthModule } from './health/index.js';
export { ManagementServer, MetricsModule } from './metrics/index.js';
export { NotificationModule, NotificationService, Notifier, NotNow, type ReleaseNotice } from './notification/index.js';
export * from './oci/index.js';
export {
  Registry,
  RegistryModule,
  verified,
  type FetchedManifest,
  type RegistryModuleOptions,
} from './registry/index.js';
export { Service, type ServiceOptions } from './service.js';
export { WebhookModule, WebhookSource, type RepositoryChange } from './webhook/index.js';
export {
  SignatureModule,
  SignatureVerifier,
  type Distrust,
  type SignatureForm,
  type Signer,
  type Verification,
} from './signature/index.js';
