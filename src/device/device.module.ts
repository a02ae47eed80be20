import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { authenticators as authenticatorsOf, type DeviceAuthenticator } from './access/index.js';
import { AccessLog } from './access-log.js';
import { ClientAddress, Links } from '../delivery/index.js';
import { DEVICE_AUTHENTICATORS, DeviceGuard } from './device-guard.js';
import { DEVICE_PROTOCOLS, DeviceRouter } from './device-router.js';
import { Limits } from './limits/limits.js';
import { partsOf, type Part } from '../parts.js';
import { BUILT_IN_PROTOCOLS, Offers, PROTOCOL_PARTS, type DeviceProtocol } from '../protocols/index.js';

/** Options of DeviceModule. */
export interface DeviceModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Your own client protocols. They are asked after the built-in ones. */
  protocols?: Part<DeviceProtocol>[];
  /** Your own authenticators, in addition to those of the settings. */
  authenticators?: Part<DeviceAuthenticator>[];
}

/**
 * Provides DeviceRouter, and Limits for other routes on the same port. `imports` must provide ReleaseService and
 * Delivery.
 */
@Module({})
export class DeviceModule {
  static forRoot({ imports = [], protocols = [], authenticators = [] }: DeviceModuleOptions): DynamicModule {
    const builtIn = Object.entries(BUILT_IN_PROTOCOLS);
    const own = partsOf(protocols);
    const ways = partsOf(authenticators);
    return {
      module: DeviceModule,
      imports,
      providers: [
        ...builtIn.map(([, protocol]) => protocol),
        ...own.providers,
        {
          provide: DEVICE_PROTOCOLS,
          useFactory: ({ protocols: names }: Settings, ...list: DeviceProtocol[]) =>
            list.filter((_protocol, index) => {
              const name = builtIn[index]?.[0];
              return name === undefined || (names as readonly string[]).includes(name);
            }),
          inject: [Settings, ...builtIn.map(([, protocol]) => protocol), ...own.tokens],
        },
        ...ways.providers,
        {
          provide: DEVICE_AUTHENTICATORS,
          useFactory: async (settings: Settings, links: Links, clock: Clock, ...own: DeviceAuthenticator[]) =>
            authenticatorsOf(settings, { addresses: new ClientAddress(settings.trustProxy), links, clock }, own),
          inject: [Settings, Links, Clock, ...ways.tokens],
        },
        Offers,
        ...PROTOCOL_PARTS,
        AccessLog,
        Limits,
        DeviceGuard,
        DeviceRouter,
      ],
      exports: [DeviceRouter, Limits],
    };
  }
}
