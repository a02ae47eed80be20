import { Module, type DynamicModule, type OnApplicationShutdown, type Type } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { RegistryMeter } from '../metrics/index.js';
import { redactor } from '../redact.js';
import { createRegistry } from './adapters.js';
import { optionsBehind } from './failure-options.js';
import { MeteredRegistry } from './metered-registry.js';
import { Registry } from './registry.js';
import { RegistryCheck } from './registry-check.js';
import { RegistryState } from './registry-state.js';

/** Options of RegistryModule. */
export interface RegistryModuleOptions {
  /** Your own registry instead of the built-in ones: a class, which Nest instantiates, or an object. */
  registry?: Type<Registry> | Registry;
}

const ADAPTER = Symbol('registry adapter');

/** Provides Registry: the registry of REGISTRY_URL, or yours. Its operations are counted in both cases. */
@Module({})
export class RegistryModule implements OnApplicationShutdown {
  constructor(private readonly registry: Registry) {}

  static forRoot({ registry }: RegistryModuleOptions = {}): DynamicModule {
    const adapter =
      registry === undefined
        ? { provide: ADAPTER, useFactory: createRegistry, inject: [Settings] }
        : typeof registry === 'function'
          ? { provide: ADAPTER, useClass: registry }
          : { provide: ADAPTER, useValue: registry };
    return {
      module: RegistryModule,
      providers: [
        adapter,
        {
          provide: RegistryState,
          useFactory: (meter: RegistryMeter, settings: Settings) =>
            new RegistryState(meter, {
              // The options do not cause failures of your own registry.
              optionsBehind: (error) => (registry === undefined ? optionsBehind(error, settings) : []),
              redact: redactor(secretsOf(settings)),
            }),
          inject: [RegistryMeter, Settings],
        },
        RegistryCheck,
        {
          provide: Registry,
          useFactory: (own: Registry, meter: RegistryMeter, state: RegistryState) =>
            new MeteredRegistry(own, meter, state),
          inject: [ADAPTER, RegistryMeter, RegistryState],
        },
      ],
      exports: [Registry, RegistryState],
    };
  }

  /** Closes the connections to the registry. */
  async onApplicationShutdown(): Promise<void> {
    await this.registry.close();
  }
}

/** The password, in plain form and as in Basic authentication. */
function secretsOf({ registryUsername = '', registryPassword }: Settings): string[] {
  if (registryPassword === undefined) return [];
  return [registryPassword, Buffer.from(`${registryUsername}:${registryPassword}`).toString('base64')];
}
