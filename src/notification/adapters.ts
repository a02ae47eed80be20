import type { NOTIFY_SCHEMES, Settings } from '../config/index.js';
import { loadDriver, Target, urlOf } from '../broker/index.js';
import type { Notifier } from './notifier.js';

interface Adapter {
  /** Name of its notifier, unless the URL contains one. */
  readonly name: string;
  /** The query of a URL belongs to the receiver, so options come after `#`. */
  readonly optionsBehindHash?: true;
  create(target: Target, name: string, settings: Settings): Promise<Notifier>;
}

const MQTT: Adapter = {
  name: 'mqtt',
  create: async (target, name) => (await import('./mqtt/index.js')).create(target, name),
};
const REDIS: Adapter = {
  name: 'redis',
  create: async (target, name) => {
    const driver = await loadDriver(target, 'ioredis', () => import('ioredis'));
    return (await import('./redis/index.js')).create(target, name, driver);
  },
};
const NATS: Adapter = {
  name: 'nats',
  create: async (target, name) => {
    const transport = await loadDriver(target, '@nats-io/transport-node', () => import('@nats-io/transport-node'));
    const jetstream = await loadDriver(target, '@nats-io/jetstream', () => import('@nats-io/jetstream'));
    return (await import('./nats/index.js')).create(target, name, { transport, jetstream });
  },
};
const RABBITMQ: Adapter = {
  name: 'rabbitmq',
  create: async (target, name) => {
    const driver = await loadDriver(target, 'amqplib', () => import('amqplib'));
    return (await import('./rabbitmq/index.js')).create(target, name, driver);
  },
};
const KAFKA: Adapter = {
  name: 'kafka',
  create: async (target, name) => {
    const driver = await loadDriver(target, 'kafkajs', () => import('kafkajs'));
    return (await import('./kafka/index.js')).create(target, name, driver);
  },
};
const HTTP: Adapter = {
  name: 'http',
  optionsBehindHash: true,
  create: async (target, name, settings) => (await import('./http/index.js')).create(target, name, settings),
};

const ADAPTERS: Record<(typeof NOTIFY_SCHEMES)[number], Adapter> = {
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
  http: HTTP,
  https: HTTP,
};

/**
 * Returns the notifiers of the settings: MQTT_URL first, then those of NOTIFY. Only the needed client libraries are
 * loaded. Rejects with ConfigError.
 */
export async function builtInNotifiers(settings: Settings): Promise<Notifier[]> {
  const notifiers: Notifier[] = [];
  if (settings.mqttUrl !== undefined)
    notifiers.push((await import('./mqtt/index.js')).mqttNotifier(settings.mqttUrl, settings));
  for (const url of settings.notify ?? []) {
    const adapter = adapterOf(url);
    const target = new Target(urlOf('NOTIFY', url), settings.mqttTopic, adapter.optionsBehindHash);
    notifiers.push(
      await adapter.create(
        target,
        target.name(
          adapter.name,
          notifiers.map(({ name }) => name),
        ),
        settings,
      ),
    );
  }
  return notifiers;
}

function adapterOf(url: string): Adapter {
  return ADAPTERS[url.slice(0, url.indexOf(':')) as keyof typeof ADAPTERS];
}
