import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { ControlController } from './control.controller.js';

/** What `otaflux status` and `otaflux notify` ask, over the modules of `imports`. */
@Module({})
export class ControlModule {
  static forRoot({ imports = [] }: Pick<ModuleMetadata, 'imports'>): DynamicModule {
    return { module: ControlModule, imports, controllers: [ControlController] };
  }
}
