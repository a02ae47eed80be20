import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { ReleaseMemory } from './release-memory.js';
import { ReleaseService } from './release-service.js';
import { Watcher } from './watcher.js';

/** Provides ReleaseService and Watcher. `imports` must provide Registry, SignatureVerifier and FirmwareStore. */
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
