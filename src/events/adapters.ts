import { loadDriver, Target, urlOf } from '../broker/index.js';
import type { EVENT_SCHEMES, Settings } from '../config/index.js';
import type { EventBroker } from './event-broker.js';

interface Adapter {
  /** Name of its broker, unless the URL contains one. */
  readonly name: string;
  create(target: Target, name: string): Promise<EventBroker>;
}

/** A broker, and what its URL says besides how to reach it. */
export interface ConfiguredBroker {
  readonly broker: EventBroker;
  /** A further topic, queue or channel to read registry events from. */
  readonly subscribe: string | undefined;
  /** Who sends to it: the name of a webhook source. */
  readonly source: string;
}

/** The source of zot, the only registry that sends to brokers itself. */
const DEFAULT_SOURCE = 'cloudevents';

const MQTT: Adapter = {
  name: 'mqtt',
  create: async (target, name) => (await import('./brokers/mqtt-events.js')).create(target, name),
};
const REDIS: Adapter = {
  name: 'redis',
  create: async (target, name) => {
    const driver = await loadDriver(target, 'ioredis', () => import('ioredis'));
    return (await import('./brokers/redis-events.js')).create(target, name, driver);
  },
};
const NATS: Adapter = {
  name: 'nats',
  create: async (target, name) => {
    const driver = await loadDriver(target, '@nats-io/transport-node', () => import('@nats-io/transport-node'));
    return (await import('./brokers/nats-events.js')).create(target, name, driver);
  },
};
const RABBITMQ: Adapter = {
  name: 'rabbitmq',
  create: async (target, name) => {
    const driver = await loadDriver(target, 'amqplib', () => import('amqplib'));
    return (await import('./brokers/rabbitmq-events.js')).create(target, name, driver);
  },
};
const KAFKA: Adapter = {
  name: 'kafka',
  create: async (target, name) => {
    const driver = await loadDriver(target, 'kafkajs', () => import('kafkajs'));
    return (await import('./brokers/kafka-events.js')).create(target, name, driver);
  },
};

const ADAPTERS: Record<(typeof EVENT_SCHEMES)[number], Adapter> = {
  mqtt: MQTT,
  mqtts: MQTT,
  ws: MQTT,
  wss: MQTT,
  redis: REDIS,
  rediss: REDIS,
  nats: NATS,
  tls: NATS,
  amqp: RABBITMQ,
  amqps: RABBITMQ,
  kafka: KAFKA,
  kafkas: KAFKA,
};

/**
 * Returns the brokers of EVENTS. Only the needed client libraries are loaded. Rejects with ConfigError.
 *
 * @param sources names of the webhook sources
 */
export async function configuredBrokers(
  { events = [] }: Pick<Settings, 'events'>,
  sources: ReadonlySet<string>,
): Promise<ConfiguredBroker[]> {
  const configured: ConfiguredBroker[] = [];
  for (const url of events) {
    const adapter = ADAPTERS[url.slice(0, url.indexOf(':')) as (typeof EVENT_SCHEMES)[number]];
    const target = new Target(urlOf('EVENTS', url), undefined, false, 'EVENTS');
    const name = target.name(
      adapter.name,
      configured.map(({ broker }) => broker.name),
    );
    const source = target.option('source') ?? DEFAULT_SOURCE;
    if (!sources.has(source)) throw target.wrong(`source=${source}`, `one of ${[...sources].join(', ')}`);
    configured.push({ broker: await adapter.create(target, name), subscribe: target.option('subscribe'), source });
  }
  return configured;
}
