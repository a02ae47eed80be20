import { Module, type DynamicModule, type INestApplication } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Settings } from '../config/index.js';
import { ReleaseService } from '../firmware/index.js';
import { Fleet } from '../fleet/index.js';
import { EventMeter } from '../metrics/index.js';
import { RefreshQueue, WEBHOOK_SOURCES, type WebhookSource } from '../webhook/index.js';
import { configuredBrokers } from './adapters.js';
import { EventConnections } from './events.module.js';
import { EventServer } from './event-server.js';
import { RegistryEventsController } from './registry-events.controller.js';
import { UnitReportsController } from './unit-reports.controller.js';

const FROM_THE_APPLICATION = [RefreshQueue, WEBHOOK_SOURCES, ReleaseService, Fleet];

/** The handlers of messages from brokers. The module is added to a running application. */
@Module({})
class EventHandlersModule {
  static of(app: INestApplication): DynamicModule {
    return {
      module: EventHandlersModule,
      controllers: [RegistryEventsController, UnitReportsController],
      providers: FROM_THE_APPLICATION.map((provide) => ({
        provide,
        useValue: app.get<unknown>(provide, { strict: false }),
      })),
    };
  }
}

/** Adds the handlers and a transport for each broker to `app`. Does not wait until brokers are connected. */
export async function openEvents(app: INestApplication): Promise<void> {
  const settings = app.get(Settings, { strict: false });
  const meter = app.get(EventMeter, { strict: false });
  const connections = app.get(EventConnections, { strict: false });
  const sources = app.get<readonly WebhookSource[]>(WEBHOOK_SOURCES, { strict: false });
  const brokers = await configuredBrokers(settings, new Set(sources.map(({ name }) => name)));
  await app.get(LazyModuleLoader, { strict: false }).load(() => EventHandlersModule.of(app), { logger: false });
  for (const broker of brokers) {
    const server = new EventServer(broker, meter);
    connections.add(server);
    await app.connectMicroservice({ strategy: server }, { inheritAppConfig: true }).listen();
  }
}
