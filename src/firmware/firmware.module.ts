import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { ReleaseMemory } from './release-memory.js';
import { ReleaseService } from './release-service.js';
import { Watcher } from './watcher.js';

/** Provides ReleaseService and Watcher, over the Registry, SignatureVerifier and FirmwareStore of `imports`. */
@Module({})
export class FirmwareModule {
  static forRoot({ imports = [] }: Pick<ModuleMetadata, 'imports'>): DynamicModule {
    return {
      module: FirmwareModule,
      imports,
      providers: [ReleaseMemory, ReleaseService, Watcher],
      exports: [ReleaseService, Watcher],
    };
  }
}
