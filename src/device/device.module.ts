import { Module, type DynamicModule, type ModuleMetadata, type Type } from '@nestjs/common';
import type { DeviceProtocol } from './device-protocol.js';
import { DEVICE_PROTOCOLS, DeviceRouter } from './device-router.js';
import { NativeProtocol } from './native-protocol.js';

export interface DeviceModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Further client dialects, asked after the native one. */
  protocols?: Type<DeviceProtocol>[];
}

/** Provides DeviceRouter, over the ReleaseService of `imports`. */
@Module({})
export class DeviceModule {
  static forRoot({ imports = [], protocols = [] }: DeviceModuleOptions): DynamicModule {
    const all = [NativeProtocol, ...protocols];
    return {
      module: DeviceModule,
      imports,
      providers: [
        ...all,
        { provide: DEVICE_PROTOCOLS, useFactory: (...list: DeviceProtocol[]) => list, inject: all },
        DeviceRouter,
      ],
      exports: [DeviceRouter],
    };
  }
}
