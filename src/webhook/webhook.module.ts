import { Logger, Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { partsOf, type Part } from '../parts.js';
import { DeviceNames } from './device-names.js';
import { RefreshQueue } from './refresh-queue.js';
import { builtInSources } from './sources/index.js';
import { WEBHOOK_SOURCES, WebhookController } from './webhook.controller.js';
import { WebhookLimit } from './webhook-limit.js';
import type { WebhookSource } from './webhook-source.js';

/** Options of WebhookModule. */
export interface WebhookModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Your own senders. A sender with the name of a built-in one replaces it. */
  sources?: Part<WebhookSource>[];
}

/** Provides `POST /webhooks/{source}`. `imports` must provide ReleaseService and Watcher, and may provide Limits. */
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
          useFactory: (...added: WebhookSource[]) => allSources(added),
          inject: own.tokens,
        },
      ],
      exports: [RefreshQueue, WEBHOOK_SOURCES],
    };
  }
}

/** An own source replaces the built-in one of the same name, which may be meant or not. */
function allSources(added: readonly WebhookSource[]): WebhookSource[] {
  const builtIn = builtInSources();
  for (const { name } of added)
    if (builtIn.some((source) => source.name === name))
      new Logger('WebhookModule').log({ event: 'webhook.source_replaced', source: name });
  return [...builtIn, ...added];
}
