import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { ControlController } from './control.controller.js';
import { UnitsController } from './units.controller.js';
import { WhyController } from './why.controller.js';

/**
 * Provides the routes of `otaflux status`, `notify`, `units` and `why`. `imports` must provide ReleaseService, Fleet,
 * Rollouts and NotificationService.
 */
@Module({})
export class ControlModule {
  static forRoot({ imports = [] }: Pick<ModuleMetadata, 'imports'>): DynamicModule {
    return { module: ControlModule, imports, controllers: [ControlController, UnitsController, WhyController] };
  }
}
