import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { partsOf, type Part } from '../parts.js';
import { builtInNotifiers } from './adapters.js';
import { NOTIFIERS, NotificationService } from './notification.service.js';
import type { Notifier } from './notifier.js';
import { StateDirectory } from './told-file.js';

/** Options of NotificationModule. */
export interface NotificationModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Your own notifiers, in addition to those of the settings. */
  notifiers?: Part<Notifier>[];
}

/** Provides NotificationService, which sends new releases to notifiers. `imports` must provide ReleaseService. */
@Module({})
export class NotificationModule {
  static forRoot({ imports = [], notifiers = [] }: NotificationModuleOptions): DynamicModule {
    const own = partsOf(notifiers);
    return {
      module: NotificationModule,
      imports,
      providers: [
        ...own.providers,
        {
          provide: NOTIFIERS,
          useFactory: async (settings: Settings, state: StateDirectory, ...own: Notifier[]) => {
            await state.demand();
            return [...(await builtInNotifiers(settings)), ...own];
          },
          inject: [Settings, StateDirectory, ...own.tokens],
        },
        StateDirectory,
        NotificationService,
      ],
      exports: [NotificationService],
    };
  }
}
