import { Transport } from '@nestjs/microservices';
import type * as amqplib from 'amqplib';
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import type { Duplex } from 'node:stream';
import {
  addressOf,
  EXCHANGE_TAKES,
  isExchange,
  rabbitMqOptions,
  RABBITMQ_REFUSALS,
  type Target,
} from '../../broker/index.js';
import {
  EventBroker,
  levelsBelow,
  prefixOf,
  type EventConnection,
  type Subscription,
  type Take,
} from '../event-broker.js';
import { headersOf, type EventMessage } from '../event-message.js';
import { SizeGuard } from '../size-guard.js';
import { ownFilters, ROUTING_KEYS } from '../topics.js';

type Driver = Pick<typeof amqplib, 'connect'>;

const CONNECT_MS = 10_000;
/** Messages that the broker sends before the first of them is confirmed. */
const PREFETCH = 8;
/** The broker drops the oldest messages of our own queue beyond these. */
const QUEUE_LIMIT = { 'x-max-length': 10_000, 'x-max-length-bytes': 64 * 1024 * 1024 };
const OWN = ['heartbeat', 'exchange', 'queue', 'subscribe', 'source'];
/** AMQP 0-9-1, constants: the requested object does not exist. */
const NOT_FOUND = 404;

/** Returns the broker of `amqp[s]://[user:pass@]host[:port][/vhost][?topic=…&queue=…]`. Throws ConfigError. */
export function create(target: Target, name: string, driver: Driver): EventBroker {
  target.demandKnown(...OWN);
  return new RabbitMqEvents(target, name, driver);
}

/**
 * A queue bound to a topic exchange. By default the queue belongs to the connection, so every replica gets every
 * message. With `queue`, it is durable: the broker stores messages while OtaFlux is away.
 */
class RabbitMqEvents extends EventBroker {
  override readonly kind = 'rabbitmq';
  override readonly transport = Transport.RMQ;
  override readonly style = ROUTING_KEYS;
  override readonly refusals = RABBITMQ_REFUSALS;
  override readonly address;
  override readonly ownFilters;
  private readonly exchange: string;
  private readonly queue: string | undefined;
  /** Empty if the exchange has the name of the topic. */
  private readonly prefix: string;
  private readonly connect: () => Promise<ChannelModel>;

  constructor(
    target: Target,
    override readonly name: string,
    driver: Driver,
  ) {
    super();
    this.address = addressOf(target);
    const topic = target.topic(isExchange, EXCHANGE_TAKES);
    const exchange = target.option('exchange');
    this.exchange = exchange ?? topic;
    this.prefix = exchange === undefined ? '' : prefixOf(topic, '.');
    this.queue = target.option('queue');
    this.ownFilters = ownFilters(ROUTING_KEYS, this.prefix);
    const { url, options } = rabbitMqOptions(target, OWN.slice(1));
    this.connect = () =>
      driver.connect(url, {
        ...options,
        timeout: CONNECT_MS,
        clientProperties: { connection_name: 'otaflux events' },
      });
  }

  override levelsOf({ topic }: EventMessage): string[] | undefined {
    return levelsBelow(this.prefix, '.', topic);
  }

  override async open(
    subscriptions: readonly Subscription[],
    take: Take,
    onLost: () => void,
  ): Promise<EventConnection> {
    const model = await this.connect();
    const { stream } = model.connection as unknown as { stream: Duplex };
    model.on('error', () => undefined);
    model.once('close', onLost);
    try {
      const channel = await this.demandExchange(model);
      channel.on('error', () => undefined);
      channel.once('close', onLost);
      await channel.prefetch(PREFETCH);
      const queue = await this.demandQueue(channel);
      for (const { filter } of subscriptions) await channel.bindQueue(queue, this.exchange, filter);
      // A durable queue would send the same message again on the next connection.
      const guard = this.queue === undefined ? new SizeGuard(stream) : undefined;
      await channel.consume(queue, (message) => {
        guard?.passed();
        // The broker cancelled the consumer, because the queue was deleted.
        if (message) receive(channel, message, take);
        else onLost();
      });
    } catch (error) {
      stream.destroy();
      throw error;
    }
    return {
      close: () => model.close(),
      destroy: () => {
        stream.destroy();
      },
    };
  }

  /** Returns a channel, after the exchange exists. An account that may not declare an exchange can use an existing one. */
  private async demandExchange(model: ChannelModel): Promise<Channel> {
    const first = await model.createChannel();
    first.on('error', () => undefined);
    try {
      await first.checkExchange(this.exchange);
      return first;
    } catch (error) {
      if ((error as { code?: unknown }).code !== NOT_FOUND) throw error;
    }
    // The failed check has closed its channel (AMQP 0-9-1, "Channel exceptions").
    const channel = await model.createChannel();
    await channel.assertExchange(this.exchange, 'topic', { durable: true });
    return channel;
  }

  private async demandQueue(channel: Channel): Promise<string> {
    if (this.queue === undefined) {
      const { queue } = await channel.assertQueue('', { exclusive: true, autoDelete: true, arguments: QUEUE_LIMIT });
      return queue;
    }
    // An existing queue is used as it is.
    await channel.assertQueue(this.queue, { durable: true });
    return this.queue;
  }
}

/** Confirms a message when it was handled. Others go to the dead letters of the queue, if it has any. */
function receive(channel: Channel, message: ConsumeMessage, take: Take): void {
  const { content, fields, properties } = message;
  const headers = headersOf(Object.entries(properties.headers ?? {}));
  const contentType: unknown = properties.contentType;
  if (typeof contentType === 'string') headers['content-type'] = contentType;
  void take({ topic: fields.routingKey, payload: content, headers, retained: false }).then((result) => {
    try {
      if (result === 'invalid' || result === 'too_large' || result === 'failed') channel.nack(message, false, false);
      else if (result !== 'dropped') channel.ack(message);
    } catch {
      // The channel has ended: the broker sends the message again.
    }
  });
}
