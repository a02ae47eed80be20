/** The public interface of the package: what plug-ins and host applications import. etc/otaflux.api.md lists it. */
export { AppModule, type AppModuleOptions, type OwnParts } from './app.module.js';
export type { Plugin, PluginContext } from './cli/plugins.js';
export { OtaFluxModule, type OtaFluxAsyncOptions, type OtaFluxOptions } from './otaflux.module.js';
export { injects, type Part } from './parts.js';
export {
  CacheModule,
  FirmwareStore,
  type CacheModuleOptions,
  type Firmware,
  type FirmwareSource,
  type Lease,
} from './cache/index.js';
export {
  gather,
  parseSettings,
  Settings,
  type Given,
  type GivenValues,
  type JsonSchema,
  type Kind,
  type ListenAddress,
  type Option,
  type OPTIONS,
  type PolicyRule,
  type PollInterval,
  type Rate,
  type RegistryLocation,
  type SettingName,
  type SettingValue,
  type SettingValues,
  type Sources,
  type TypedOption,
  type Variable,
} from './config/index.js';
export {
  Delivery,
  DeliveryModule,
  DeviceRefusal,
  Links,
  type Delivered,
  type DeviceRequest,
} from './delivery/index.js';
export {
  DeviceAuthenticator,
  DeviceHttpAdapter,
  DeviceModule,
  DeviceRouter,
  TlsFiles,
  type Access,
  type ControlPlane,
  type ControlPlaneObserver,
  type DeviceHandler,
  type DeviceModuleOptions,
  type ListenerOptions,
} from './device/index.js';
export {
  DeviceProtocol,
  Offers,
  type Ask,
  type Identity,
  type Match,
  type Offer,
  type Guarded,
  type GuardOptions,
  type OfferOptions,
  type Withheld,
} from './protocols/index.js';
export {
  Fleet,
  FleetModule,
  FleetStore,
  type FleetModuleOptions,
  type LastOutcome,
  type ListedUnit,
  type Offered,
  type OfferedRelease,
  type Outcome,
  type Report,
  type Said,
  type UnitChange,
  type UnitCounts,
  type Downloaded,
  type Ending,
  type UnitChanged,
  type UnitEvent,
  type UnitEventKind,
  RolloutLedger,
  type RolloutRecord,
  type Tally,
  type UnitState,
} from './fleet/index.js';
export {
  PlanSelector,
  Selector,
  Standings,
  type Asking,
  type Catalogue,
  type Channel,
  type Plan,
  type PlannedUnit,
  type PlanProblem,
  type Range,
  type Rate as PlanRate,
  type Reason,
  type Rollout,
  type RolloutStanding,
  type Selection,
  type Servable,
  type Stage,
  type Standing,
  type Step,
  type Threshold,
  type UnitRule,
  type UnitStanding,
  type FailedRelease,
  type Window,
} from './plan/index.js';
export { Replicas, ReplicasModule } from './replicas/index.js';
export {
  RolloutModule,
  RolloutRunner,
  Rollouts,
  type PlannedCatalogue,
  type RolloutEvent,
  type RolloutEventKind,
} from './rollout/index.js';
export { Clock } from './clock.js';
export type { EspApp, EspImage } from './esp-image.js';
export type { UnitIdentity } from './identity.js';
export { connectEvents, EventContext, type EventMessage } from './events/index.js';
export { OtaError, type OtaErrorCode } from './errors.js';
export {
  FirmwareModule,
  CatalogueEntry,
  PlanRefused,
  Release,
  ReleaseService,
  type PlanStanding,
  type Annotations,
  type Conditional,
  type Conditions,
  type Contents,
  type Deliverable,
  type Image,
  type ImageSource,
  type Packing,
  type ReleaseChanged,
  type ReleaseStanding,
  type StoredImage,
} from './firmware/index.js';
export { HealthModule } from './health/index.js';
export { ManagementServer, MetricsModule, type RegistryOperation } from './metrics/index.js';
export {
  NotificationModule,
  NotificationService,
  Notifier,
  NotNow,
  payloadOf,
  type NotificationModuleOptions,
  type NoticedRelease,
  type ReleaseNotice,
} from './notification/index.js';
export * from './oci/index.js';
export {
  Registry,
  RegistryModule,
  verified,
  type FetchedManifest,
  type RegistryModuleOptions,
  type RegistryFailure,
  type RegistryState,
  type RegistrySummary,
} from './registry/index.js';
export { Service, type ServiceOptions } from './service.js';
export { SettingsModule, type AsyncGiven, type PlainValues } from './settings/index.js';
export { WebhookModule, WebhookSource, type RepositoryChange, type WebhookModuleOptions } from './webhook/index.js';
export {
  SignatureModule,
  SignatureVerifier,
  type Distrust,
  type SignatureForm,
  type SignatureModuleOptions,
  type Signer,
  type Verification,
} from './signature/index.js';
