import type { Transport } from '@nestjs/microservices';
import type { BrokerAddress, Refusal } from '../broker/index.js';
import type { EventMessage } from './event-message.js';
import type { EventResult } from './intake.js';
import type { TopicStyle } from './topics.js';

/** A subscription: a filter in the spelling of the broker. */
export interface Subscription {
  readonly filter: string;
  /** The second parameter of `@EventPattern()`, such as `{ qos: 0 }` or `{ queue: 'one-of-several' }`. */
  readonly extras: Readonly<Record<string, unknown>>;
}

/** Passes on a message. Resolves to the result when it was handled. Never rejects. */
export type Take = (message: EventMessage) => Promise<EventResult>;

/** An open connection. */
export interface EventConnection {
  /** Says goodbye to the broker. May fail, and may never resolve if the broker is gone. */
  close(): Promise<unknown>;
  /** Closes the connection at once. */
  destroy(): void;
}

/**
 * One kind of broker. Every `open` makes a new connection that does not reconnect by itself: `EventServer` does that,
 * with the same backoff for all of them (decision 54).
 */
export abstract class EventBroker {
  /** Name in metrics and logs. */
  abstract readonly name: string;
  /** The kind of broker, as the protocol of reports. */
  abstract readonly kind: 'mqtt' | 'nats' | 'redis' | 'rabbitmq' | 'kafka';
  abstract readonly address: BrokerAddress;
  abstract readonly refusals: readonly Refusal[];
  /** The transport of Nest that handlers can name: `@EventPattern('a/b', Transport.MQTT)`. */
  abstract readonly transport: Transport;
  abstract readonly style: TopicStyle;
  /** Subscriptions for own messages: webhooks and reports of units. */
  abstract readonly ownFilters: readonly string[];
  /** Returns the levels below TOPIC of the topic of an own message. Undefined for other topics. */
  abstract levelsOf(message: EventMessage): string[] | undefined;
  /**
   * Connects and subscribes. `onLost` is called when the connection has ended for any reason. Rejects if the broker
   * cannot be reached, or refuses. If `signal` is aborted before, the connection is not needed any more: then its result
   * does not matter, but it must not stay open.
   */
  abstract open(
    subscriptions: readonly Subscription[],
    take: Take,
    onLost: () => void,
    signal: AbortSignal,
  ): Promise<EventConnection>;
}

/** Returns the levels of a topic that begins with `prefix`, which ends with the separator. */
export function levelsBelow(prefix: string, separator: string, topic: string): string[] | undefined {
  return topic.startsWith(prefix) ? topic.slice(prefix.length).split(separator) : undefined;
}

/** Returns the part of a topic before the levels. `topic` may have slashes, which become separators. */
export function prefixOf(topic: string, separator: string): string {
  return `${topic.replaceAll('/', separator)}${separator}`;
}
