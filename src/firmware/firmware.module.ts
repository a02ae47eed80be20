import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { ReleaseMemory } from './release-memory.js';
import { ReleaseParts } from './release-parts.js';
import { ReleaseService } from './release-service.js';
import { Watcher } from './watcher.js';

/**
 * Provides ReleaseService and Watcher. `imports` must provide Registry, SignatureVerifier and FirmwareStore, and may provide
 * PlanVerifier, Selector and Standings.
 */
@Module({})
export class FirmwareModule {
  static forRoot({ imports = [] }: Pick<ModuleMetadata, 'imports'>): DynamicModule {
    return {
      module: FirmwareModule,
      imports,
      providers: [ReleaseMemory, ReleaseParts, ReleaseService, Watcher],
      exports: [ReleaseService, Watcher],
    };
  }
}
