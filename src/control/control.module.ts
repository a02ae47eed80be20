import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { ControlController } from './control.controller.js';
import { UnitsController } from './units.controller.js';

/**
 * Provides the routes of `otaflux status` and `otaflux notify`. `imports` must provide ReleaseService and
 * NotificationService.
 */
@Module({})
export class ControlModule {
  static forRoot({ imports = [] }: Pick<ModuleMetadata, 'imports'>): DynamicModule {
    return { module: ControlModule, imports, controllers: [ControlController, UnitsController] };
  }
}
