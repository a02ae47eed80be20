import type { INestApplication } from '@nestjs/common';
import { loadDriver } from '../broker/index.js';
import { Settings } from '../config/index.js';

/**
 * Connects an application with `OtaFluxModule` to the brokers of EVENTS. Handlers of the application with
 * `@EventPattern()` get messages of the same connections. Call it once, before `listen`. `Service` does it by itself.
 * Does nothing if EVENTS is not set. Does not wait for the brokers. Rejects with ConfigError if a URL is wrong.
 *
 * @publicApi
 */
export async function connectEvents(app: INestApplication): Promise<void> {
  const { events = [] } = app.get(Settings, { strict: false });
  const [first] = events;
  if (first === undefined) return;
  const scheme = first.slice(0, first.indexOf(':'));
  const { loadPackage } = await import('@nestjs/common/internal');
  // Nest looks for it in its own place, where it may not be (decision 54).
  await loadDriver({ variable: 'EVENTS', scheme }, '@nestjs/microservices', () =>
    loadPackage('@nestjs/microservices', 'EVENTS', () => import('@nestjs/microservices')),
  );
  const { openEvents } = await import('./open-events.js');
  await openEvents(app);
}
