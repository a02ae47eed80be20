import type * as amqplib from 'amqplib';
import { addressOf } from '../broker-address.js';
import type { Notifier } from '../notifier.js';
import type { Target } from '../target.js';
import { RabbitMqNotifier } from './rabbitmq-notifier.js';

type Driver = typeof amqplib;

/** Returns the notifier of `amqp[s]://[user:pass@]host[:port][/vhost][?topic=…]`. Throws ConfigError. */
export function create(target: Target, name: string, driver: Driver): Notifier {
  target.demandKnown('heartbeat');
  const exchange = target.topic(
    (text) => Buffer.byteLength(text) <= 255 && !text.startsWith('amq.'),
    'the name of an exchange, such as firmware.releases',
  );
  const url = new URL(target.url);
  for (const option of ['topic', 'name', 'ca', 'cert', 'key']) url.searchParams.delete(option);
  const { ca, cert, key } = target.tlsFiles();
  const tls = { ...(ca && { ca: [ca] }), ...(cert && { cert }), ...(key && { key }) };
  return new RabbitMqNotifier(name, addressOf(target), exchange, target.fingerprint, (options) =>
    driver.connect(url.href, { ...tls, ...options }),
  );
}
