import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { builtInAuthenticators, type DeviceAuthenticator } from './access/index.js';
import { AccessLog } from './access-log.js';
import { ClientAddress } from '../delivery/index.js';
import { DEVICE_AUTHENTICATORS, DeviceGuard } from './device-guard.js';
import type { DeviceProtocol } from './device-protocol.js';
import { DEVICE_PROTOCOLS, DeviceRouter } from './device-router.js';
import { Limits } from './limits/limits.js';
import { partsOf, type Part } from '../parts.js';
import { NativeProtocol } from './native-protocol.js';

export interface DeviceModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Further client dialects, asked after the native one. */
  protocols?: Part<DeviceProtocol>[];
  /** Further ways to tell who a device is, beside those that the settings ask for. */
  authenticators?: Part<DeviceAuthenticator>[];
}

/** Provides DeviceRouter, and Limits for others who answer on the same port, over the ReleaseService and the Delivery of `imports`. */
@Module({})
export class DeviceModule {
  static forRoot({ imports = [], protocols = [], authenticators = [] }: DeviceModuleOptions): DynamicModule {
    const all = partsOf([NativeProtocol, ...protocols]);
    const ways = partsOf(authenticators);
    return {
      module: DeviceModule,
      imports,
      providers: [
        ...all.providers,
        { provide: DEVICE_PROTOCOLS, useFactory: (...list: DeviceProtocol[]) => list, inject: all.tokens },
        ...ways.providers,
        {
          provide: DEVICE_AUTHENTICATORS,
          useFactory: async (settings: Settings, ...own: DeviceAuthenticator[]) => [
            ...(await builtInAuthenticators(settings, new ClientAddress(settings.trustProxy))),
            ...own,
          ],
          inject: [Settings, ...ways.tokens],
        },
        AccessLog,
        Limits,
        DeviceGuard,
        DeviceRouter,
      ],
      exports: [DeviceRouter, Limits],
    };
  }
}
