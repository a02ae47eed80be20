import { Module, type DynamicModule, type ModuleMetadata, type Type } from '@nestjs/common';
import { RefreshQueue } from './refresh-queue.js';
import { builtInSources } from './sources/index.js';
import { WEBHOOK_SOURCES, WebhookController } from './webhook.controller.js';
import type { WebhookSource } from './webhook-source.js';

export interface WebhookModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Senders of your own; one with the name of a built-in one takes its place. */
  sources?: Type<WebhookSource>[];
}

/** `POST /webhooks/{source}`, over the ReleaseService of `imports`. */
@Module({})
export class WebhookModule {
  static forRoot({ imports = [], sources = [] }: WebhookModuleOptions): DynamicModule {
    return {
      module: WebhookModule,
      imports,
      controllers: [WebhookController],
      providers: [
        ...sources,
        RefreshQueue,
        {
          provide: WEBHOOK_SOURCES,
          useFactory: (...own: WebhookSource[]) => [...builtInSources(), ...own],
          inject: sources,
        },
      ],
    };
  }
}
