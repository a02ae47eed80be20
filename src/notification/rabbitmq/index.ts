import type * as amqplib from 'amqplib';
import { addressOf, EXCHANGE_TAKES, isExchange, rabbitMqOptions, type Target } from '../../broker/index.js';
import type { Notifier } from '../notifier.js';
import { RabbitMqNotifier } from './rabbitmq-notifier.js';

type Driver = typeof amqplib;

/** Returns the notifier of `amqp[s]://[user:pass@]host[:port][/vhost][?topic=…]`. Throws ConfigError. */
export function create(target: Target, name: string, driver: Driver): Notifier {
  target.demandKnown('heartbeat');
  const exchange = target.topic(isExchange, EXCHANGE_TAKES);
  const { url, options } = rabbitMqOptions(target);
  return new RabbitMqNotifier(name, addressOf(target), exchange, target.fingerprint, (more) =>
    driver.connect(url, { ...options, ...more }),
  );
}
