import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { Delivery } from './delivery.js';
import { Downloads } from './downloads.js';
import { Links } from './links.js';

/** Provides Delivery. `imports` must provide ReleaseService. */
@Module({})
export class DeliveryModule {
  static forRoot({ imports = [] }: Pick<ModuleMetadata, 'imports'>): DynamicModule {
    return { module: DeliveryModule, imports, providers: [Downloads, Delivery, Links], exports: [Delivery, Links] };
  }
}
