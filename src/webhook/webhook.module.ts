import { Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { partsOf, type Part } from '../parts.js';
import { DeviceNames } from './device-names.js';
import { RefreshQueue } from './refresh-queue.js';
import { builtInSources } from './sources/index.js';
import { WEBHOOK_SOURCES, WebhookController } from './webhook.controller.js';
import { WebhookLimit } from './webhook-limit.js';
import type { WebhookSource } from './webhook-source.js';

export interface WebhookModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Senders of your own; one with the name of a built-in one takes its place. */
  sources?: Part<WebhookSource>[];
}

/** `POST /webhooks/{source}`, over the ReleaseService and Watcher of `imports`, within the Limits of those, if any. */
@Module({})
export class WebhookModule {
  static forRoot({ imports = [], sources = [] }: WebhookModuleOptions): DynamicModule {
    const own = partsOf(sources);
    return {
      module: WebhookModule,
      imports,
      controllers: [WebhookController],
      providers: [
        ...own.providers,
        RefreshQueue,
        DeviceNames,
        WebhookLimit,
        {
          provide: WEBHOOK_SOURCES,
          useFactory: (...added: WebhookSource[]) => [...builtInSources(), ...added],
          inject: own.tokens,
        },
      ],
    };
  }
}
