import type * as kafkajs from 'kafkajs';
import type { KafkaConfig, SASLOptions } from 'kafkajs';
import { addressOf } from '../broker-address.js';
import type { Notifier } from '../notifier.js';
import { connectTo, withoutColons } from './ipv6.js';
import type { Target } from '../target.js';
import { KafkaNotifier } from './kafka-notifier.js';

type Driver = typeof kafkajs;

/** Kafka: org.apache.kafka.common.internals.Topic, legal names. */
const TOPIC = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/;

/** Returns the notifier of `kafka[s]://[user:pass@]host:port[,host:port…][?topic=…&sasl=…]`. Throws ConfigError. */
export function create(target: Target, name: string, driver: Driver): Notifier {
  target.demandKnown('hosts', 'sasl');
  const topic = target.topic(
    (text) => TOPIC.test(text.replaceAll('/', '.')),
    'a topic of letters, digits, ., _ and -, such as firmware.releases',
  );
  const brokers = (target.option('hosts') ?? target.url.host).split(',').map(withPort);
  const config: KafkaConfig = {
    clientId: 'otaflux',
    brokers: brokers.map(withoutColons),
    socketFactory: connectTo,
    ...(target.scheme === 'kafkas' && { ssl: pems(target) }),
    ...saslOf(target),
  };
  return new KafkaNotifier(name, addressOf(target), topic.replaceAll('/', '.'), driver, config);
}

function withPort(host: string): string {
  return /:\d+$/.test(host) ? host : `${host}:9092`;
}

function pems(target: Target): NonNullable<KafkaConfig['ssl']> {
  const { ca, cert, key } = target.tlsFiles();
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

function saslOf(target: Target): { sasl: SASLOptions } | undefined {
  const { username, password } = target;
  const mechanism = target.choice('sasl', ['scram-sha-512', 'scram-sha-256', 'plain']);
  if (username === undefined && password === undefined) {
    if (target.option('sasl') === undefined) return undefined;
    throw target.wrong(`sasl=${mechanism} without a user`, `${target.scheme}://USER:PASSWORD@HOST`);
  }
  if (username === undefined || password === undefined)
    throw target.wrong(
      username === undefined ? 'a password without a user' : 'a user without a password',
      `${target.scheme}://USER:PASSWORD@HOST`,
    );
  return { sasl: { mechanism, username, password } };
}
