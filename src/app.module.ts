import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { CacheModule, type FirmwareStore } from './cache/index.js';
import { SettingsModule, type GivenValues } from './config/index.js';
import { ControlModule } from './control/index.js';
import { DeviceModule, type DeviceAuthenticator, type DeviceProtocol } from './device/index.js';
import { FirmwareModule } from './firmware/index.js';
import { HealthModule } from './health/index.js';
import { MetricsModule } from './metrics/index.js';
import { NotificationModule, type Notifier } from './notification/index.js';
import { RegistryModule, type Registry } from './registry/index.js';
import { WebhookModule, type WebhookSource } from './webhook/index.js';
import { SignatureModule, type SignatureVerifier } from './signature/index.js';

/** What the service is made of; every part can be yours. */
export interface AppModuleOptions {
  /** Option values as somebody wrote them; see `gather`. */
  given: GivenValues;
  registry?: Type<Registry> | Registry;
  verifier?: Type<SignatureVerifier>;
  store?: Type<FirmwareStore>;
  protocols?: Type<DeviceProtocol>[];
  authenticators?: Type<DeviceAuthenticator>[];
  sources?: Type<WebhookSource>[];
  notifiers?: Type<Notifier>[];
}

/** The service: which modules it has, and which of them knows which. */
@Module({})
export class AppModule {
  static forRoot({
    given,
    registry,
    verifier,
    store,
    protocols = [],
    authenticators = [],
    sources = [],
    notifiers = [],
  }: AppModuleOptions): DynamicModule {
    const registryModule = RegistryModule.forRoot(registry ? { registry } : {});
    const firmware = FirmwareModule.forRoot({
      imports: [
        registryModule,
        SignatureModule.forRoot({ imports: [registryModule], ...(verifier && { verifier }) }),
        CacheModule.forRoot(store ? { store } : {}),
      ],
    });
    const notification = NotificationModule.forRoot({ imports: [firmware], notifiers });
    return {
      module: AppModule,
      imports: [
        SettingsModule.forRoot(given),
        MetricsModule,
        firmware,
        DeviceModule.forRoot({ imports: [firmware], protocols, authenticators }),
        WebhookModule.forRoot({ imports: [firmware], sources }),
        notification,
        ControlModule.forRoot({ imports: [firmware, notification] }),
        HealthModule.forRoot({ imports: [firmware] }),
      ],
    };
  }
}
