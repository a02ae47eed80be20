import { Module, type DynamicModule, type OnApplicationShutdown, type Type } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { RegistryMeter } from '../metrics/index.js';
import { redactor } from '../redact.js';
import { createRegistry } from './adapters.js';
import { optionsBehind } from './failure-options.js';
import { MeteredRegistry } from './metered-registry.js';
import { RecordedRegistry } from './recorded-registry.js';
import { Registry } from './registry.js';
import { RegistryCheck } from './registry-check.js';
import { RegistryState } from './registry-state.js';

export interface RegistryModuleOptions {
  /** A registry of your own in place of the built-in ones: a class that Nest makes, or an object. */
  registry?: Type<Registry> | Registry;
}

const ADAPTER = Symbol('registry adapter');

/** Provides Registry: the one that REGISTRY_URL names, or yours; its questions are counted either way. */
@Module({})
export class RegistryModule implements OnApplicationShutdown {
  constructor(private readonly registry: Registry) {}

  static forRoot({ registry }: RegistryModuleOptions = {}): DynamicModule {
    const adapter =
      registry === undefined
        ? { provide: ADAPTER, useFactory: createRegistry, inject: [Settings] }
        : registry instanceof Registry
          ? { provide: ADAPTER, useValue: registry }
          : { provide: ADAPTER, useClass: registry };
    return {
      module: RegistryModule,
      providers: [
        adapter,
        {
          provide: RegistryState,
          useFactory: (meter: RegistryMeter, settings: Settings) =>
            new RegistryState(meter, {
              // Options are not the cause of what a registry of your own does.
              optionsBehind: (error) => (registry === undefined ? optionsBehind(error, settings) : []),
              redact: redactor(secretsOf(settings)),
            }),
          inject: [RegistryMeter, Settings],
        },
        RegistryCheck,
        {
          provide: Registry,
          useFactory: (own: Registry, meter: RegistryMeter, state: RegistryState) =>
            new RecordedRegistry(new MeteredRegistry(own, meter, state)),
          inject: [ADAPTER, RegistryMeter, RegistryState],
        },
      ],
      exports: [Registry, RegistryState],
    };
  }

  /** Ends the connections to the registry, which is asked nothing any more. */
  async onApplicationShutdown(): Promise<void> {
    await this.registry.close();
  }
}

/** The password, as it is and as Basic authentication sends it. */
function secretsOf({ registryUsername = '', registryPassword }: Settings): string[] {
  if (registryPassword === undefined) return [];
  return [registryPassword, Buffer.from(`${registryUsername}:${registryPassword}`).toString('base64')];
}
