import amqplib from 'amqplib';
import { connect as connectNats, headers as natsHeaders } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import { Kafka, logLevel } from 'kafkajs';
import mqtt from 'mqtt';
import { KafkaServer, NatsServer, RabbitMq, RedisServer } from './brokers.js';
import { freePort, Mosquitto } from './real-server.js';

/** A real broker that a test publishes to, and kills. */
export interface EventBroker {
  /** The URL for EVENTS, without a query. */
  readonly url: string;
  /** Selects the port that it will have, before it is started. */
  reserve(): Promise<void>;
  start(): Promise<unknown>;
  kill(): Promise<void>;
  stop(): Promise<void>;
  /** Publishes to the topic with these levels below `otaflux`, as a client of the broker's own library does it. */
  publish(levels: readonly string[], payload: string | Buffer, headers?: Record<string, string>): Promise<void>;
}

interface Startable {
  port: number;
  start(): Promise<unknown>;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

type Publish = (
  port: number,
  levels: readonly string[],
  payload: Buffer,
  headers: Record<string, string>,
) => Promise<void>;

function brokerOf(scheme: string, server: Startable, publish: Publish): EventBroker {
  return {
    get url() {
      return `${scheme}://127.0.0.1:${server.port}`;
    },
    reserve: async () => {
      server.port ||= await freePort();
    },
    start: () => server.start(),
    kill: () => server.kill(),
    stop: () => server.stop(),
    publish: (levels, payload, headers = {}) => publish(server.port, levels, Buffer.from(payload), headers),
  };
}

const dotted = (levels: readonly string[]): string => levels.join('.');

export const mosquitto = (): EventBroker =>
  brokerOf('mqtt', new Mosquitto(), async (port, levels, payload) => {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
    await client.publishAsync(`otaflux/${levels.join('/')}`, payload, { qos: 1 });
    await client.endAsync();
  });

export const nats = (): EventBroker =>
  brokerOf('nats', new NatsServer(false), async (port, levels, payload, given) => {
    const client = await connectNats({ servers: `127.0.0.1:${port}`, reconnect: false });
    const headers = natsHeaders();
    for (const [name, value] of Object.entries(given)) headers.set(name, value);
    client.publish(`otaflux.${dotted(levels)}`, payload, Object.keys(given).length > 0 ? { headers } : {});
    await client.flush();
    await client.close();
  });

export const redis = (): EventBroker =>
  brokerOf('redis', new RedisServer(), async (port, levels, payload) => {
    const client = new Redis(port, '127.0.0.1');
    await client.publish(`otaflux/${levels.join('/')}`, payload);
    client.disconnect();
  });

export const rabbitMq = (): EventBroker =>
  brokerOf('amqp', new RabbitMq(), async (port, levels, payload, headers) => {
    const connection = await amqplib.connect(`amqp://127.0.0.1:${port}`);
    const channel = await connection.createConfirmChannel();
    await channel.assertExchange('otaflux', 'topic', { durable: true });
    channel.publish('otaflux', dotted(levels), payload, { headers });
    await channel.waitForConfirms();
    await connection.close();
  });

export const kafka = (): EventBroker =>
  brokerOf('kafka', new KafkaServer(), async (port, levels, payload, headers) => {
    const producer = new Kafka({ brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING }).producer();
    await producer.connect();
    const isWebhook = levels[0] === 'webhooks';
    const record = { key: isWebhook ? (levels[1] ?? '') : levels.join('/'), value: payload, headers };
    await producer.send({ topic: isWebhook ? 'otaflux.webhooks' : 'otaflux.units', messages: [record] });
    await producer.disconnect();
  });
