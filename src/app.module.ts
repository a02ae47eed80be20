import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { CacheModule, type FirmwareStore } from './cache/index.js';
import type { GivenValues } from './config/index.js';
import { ControlModule } from './control/index.js';
import { DeliveryModule } from './delivery/index.js';
import { DeviceModule, type DeviceAuthenticator } from './device/index.js';
import { FleetModule, type FleetStore } from './fleet/index.js';
import { EventsModule } from './events/index.js';
import { FirmwareModule } from './firmware/index.js';
import { HealthModule } from './health/index.js';
import { MetricsModule } from './metrics/index.js';
import { NotificationModule, type Notifier } from './notification/index.js';
import type { Part } from './parts.js';
import type { DeviceProtocol } from './protocols/index.js';
import { RolloutModule, StandingsModule } from './rollout/index.js';
import { RegistryModule, type Registry } from './registry/index.js';
import { SettingsModule, type AsyncGiven } from './settings/index.js';
import { WebhookModule, type WebhookSource } from './webhook/index.js';
import { ReplicasModule } from './replicas/index.js';
import { SignatureModule, type SignatureVerifier } from './signature/index.js';

/** Your own implementations of ports, in place of or beside the built-in ones. */
export interface OwnParts {
  /** Replaces the built-in registries. */
  registry?: Part<Registry>;
  /** Replaces the verification of cosign signatures. */
  verifier?: Part<SignatureVerifier>;
  /** Replaces the store in memory and CACHE_DIR. */
  store?: Type<FirmwareStore>;
  /** Replaces the store of what units report. */
  fleetStore?: Part<FleetStore>;
  /** Further device protocols. */
  protocols?: Part<DeviceProtocol>[];
  /** Further ways to authenticate devices. */
  authenticators?: Part<DeviceAuthenticator>[];
  /** Further webhook senders. */
  sources?: Part<WebhookSource>[];
  /** Further notifiers. */
  notifiers?: Part<Notifier>[];
}

/** Options of the service, with your own implementations of ports. */
export interface AppModuleOptions extends OwnParts {
  /** Values of options as they were written, each with its source. `gather` returns them. */
  given: GivenValues | AsyncGiven;
}

/**
 * The root module of the service. It exports `ReleaseService`, `Registry`, `SignatureVerifier`, `NotificationService`
 * and `FirmwareStore`, so that the application that imports it can inject them.
 */
@Module({})
export class AppModule {
  static forRoot({
    given,
    registry,
    verifier,
    store,
    fleetStore,
    protocols = [],
    authenticators = [],
    sources = [],
    notifiers = [],
  }: AppModuleOptions): DynamicModule {
    const registryModule = RegistryModule.forRoot(registry ? { registry } : {});
    const signature = SignatureModule.forRoot({ imports: [registryModule], ...(verifier && { verifier }) });
    const cache = CacheModule.forRoot(store ? { store } : {});
    const replicas = ReplicasModule.forRoot();
    const fleet = FleetModule.forRoot({ imports: [replicas], ...(fleetStore && { fleetStore }) });
    const standings = StandingsModule.forRoot({ imports: [fleet] });
    const firmware = FirmwareModule.forRoot({ imports: [registryModule, signature, cache, standings] });
    const rollout = RolloutModule.forRoot({ imports: [firmware, fleet, standings] });
    const delivery = DeliveryModule.forRoot({ imports: [firmware, standings] });
    const device = DeviceModule.forRoot({ imports: [firmware, delivery, fleet, rollout], protocols, authenticators });
    const notification = NotificationModule.forRoot({ imports: [firmware, rollout, replicas], notifiers });
    const webhook = WebhookModule.forRoot({ imports: [firmware, device, replicas], sources });
    return {
      module: AppModule,
      imports: [
        'useFactory' in given ? SettingsModule.forRootAsync(given) : SettingsModule.forRoot(given),
        MetricsModule,
        registryModule,
        signature,
        cache,
        firmware,
        replicas,
        fleet,
        rollout,
        device,
        webhook,
        notification,
        ControlModule.forRoot({ imports: [firmware, notification, fleet, rollout] }),
        EventsModule,
        HealthModule.forRoot({ imports: [firmware] }),
      ],
      exports: [registryModule, signature, cache, firmware, fleet, notification],
    };
  }
}
