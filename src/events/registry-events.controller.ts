import { Controller, Inject, Logger } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import type { IncomingHttpHeaders } from 'node:http';
import { reasonOf } from '../errors.js';
import { RefreshQueue, WEBHOOK_SOURCES, type WebhookSource } from '../webhook/index.js';
import type { RoutedMessage, Verdict } from './event-server.js';
import { WEBHOOK, type Route } from './topics.js';

type WebhookRoute = Extract<Route, { pattern: typeof WEBHOOK }>;

/** Pushes that a registry or a bridge publishes: the bodies of webhooks, with the same parsers, into the same queue. */
@Controller()
export class RegistryEventsController {
  private readonly logger = new Logger('RegistryEventsController');
  private readonly sources: ReadonlyMap<string, WebhookSource>;

  constructor(
    @Inject(WEBHOOK_SOURCES) sources: readonly WebhookSource[],
    @Inject(RefreshQueue) private readonly queue: RefreshQueue,
  ) {
    this.sources = new Map(sources.map((source) => [source.name, source]));
  }

  @EventPattern(WEBHOOK)
  receive(@Payload() { broker, route, content, message }: RoutedMessage<WebhookRoute>): Verdict {
    const source = this.sources.get(route.source);
    if (!source)
      return invalid(
        `there is no webhook source ${JSON.stringify(route.source.slice(0, 50))}. Use one of ${[...this.sources.keys()].join(', ')}`,
      );
    if (content === undefined) return invalid('the message is not JSON. Send the event as JSON');
    let changes;
    try {
      changes = source.parse(content, httpHeadersOf(content, message.headers));
    } catch (error) {
      return invalid(`the message is not an event of ${source.name}: ${reasonOf(error)}`);
    }
    const { queued, unknown, reason } = this.queue.add(changes);
    const line = { event: 'events.received', broker, source: source.name, changes: changes.length, queued, unknown };
    if (changes.length > 0) this.logger.log({ ...line, reason });
    else this.logger.debug(line);
    return { result: queued > 0 ? 'queued' : 'ignored' };
  }
}

function invalid(reason: string): Verdict {
  return { result: 'invalid', reason };
}

/** Returns the headers that parsers read. A CloudEvent in structured mode says so itself, most brokers have no types. */
function httpHeadersOf(content: unknown, headers: Readonly<Record<string, string>>): IncomingHttpHeaders {
  const isCloudEvent = typeof content === 'object' && content !== null && 'specversion' in content;
  return isCloudEvent ? { ...headers, 'content-type': 'application/cloudevents+json' } : headers;
}
