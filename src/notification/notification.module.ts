import { Module, type DynamicModule, type ModuleMetadata, type Type } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { NOTIFIERS, NotificationService } from './notification.service.js';
import type { Notifier } from './notifier.js';

export interface NotificationModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Notifiers of your own, beside those that the settings name. */
  notifiers?: Type<Notifier>[];
}

/** Tells brokers of new releases, over the ReleaseService of `imports`. */
@Module({})
export class NotificationModule {
  static forRoot({ imports = [], notifiers = [] }: NotificationModuleOptions): DynamicModule {
    return {
      module: NotificationModule,
      imports,
      providers: [
        ...notifiers,
        {
          provide: NOTIFIERS,
          useFactory: async (settings: Settings, ...own: Notifier[]) => [...(await builtIn(settings)), ...own],
          inject: [Settings, ...notifiers],
        },
        NotificationService,
      ],
    };
  }
}

/** Clients of brokers are loaded only where they are used. */
async function builtIn(settings: Settings): Promise<Notifier[]> {
  if (settings.mqttUrl === undefined) return [];
  return [(await import('./mqtt/index.js')).mqttNotifier(settings.mqttUrl, settings)];
}
