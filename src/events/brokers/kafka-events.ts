import { Transport } from '@nestjs/microservices';
import type * as kafkajs from 'kafkajs';
import { randomBytes } from 'node:crypto';
import type { Admin, Consumer, EachMessagePayload, KafkaConfig } from 'kafkajs';
import {
  addressOf,
  isKafkaTopic,
  KAFKA_REFUSALS,
  KAFKA_TOPIC_TAKES,
  kafkaOptions,
  type Target,
} from '../../broker/index.js';
import { EventBroker, type EventConnection, type Subscription, type Take } from '../event-broker.js';
import { headersOf, type EventMessage } from '../event-message.js';
import { MAX_MESSAGE_BYTES } from '../intake.js';
import { SUBJECTS } from '../topics.js';

type Driver = Pick<typeof kafkajs, 'Kafka' | 'logLevel'>;

const CONNECT_MS = 10_000;
/** How long a fetch waits for more records. The end of the consumer waits for it. */
const FETCH_MS = 500;

/** Returns the broker of `kafka[s]://[user:pass@]host:port[,host:port…][?topic=…&group=…]`. Throws ConfigError. */
export function create(target: Target, name: string, driver: Driver): EventBroker {
  target.demandKnown('hosts', 'sasl', 'group', 'subscribe', 'source');
  return new KafkaEvents(target, name, driver);
}

/**
 * Kafka has no wildcards, so there are two topics: `TOPIC.webhooks`, whose keys are senders, and `TOPIC.units`, whose
 * keys are `PRODUCT/units/UNIT/report`. By default every start is a consumer group of its own, so every replica gets
 * every record from now on. With `group`, it continues where it was.
 */
class KafkaEvents extends EventBroker {
  override readonly kind = 'kafka';
  override readonly transport = Transport.KAFKA;
  override readonly style = SUBJECTS;
  override readonly refusals = KAFKA_REFUSALS;
  override readonly address;
  override readonly ownFilters;
  private readonly webhooks: string;
  private readonly units: string;
  private readonly group: string;
  private readonly keepsGroup: boolean;
  private readonly config: KafkaConfig;

  constructor(
    target: Target,
    override readonly name: string,
    private readonly driver: Driver,
  ) {
    super();
    this.address = addressOf(target);
    const topic = target
      .topic((text) => isKafkaTopic(text.replaceAll('/', '.')), KAFKA_TOPIC_TAKES)
      .replaceAll('/', '.');
    this.webhooks = `${topic}.webhooks`;
    this.units = `${topic}.units`;
    this.ownFilters = [this.webhooks, this.units];
    const group = target.option('group');
    this.keepsGroup = group !== undefined;
    this.group = group ?? `otaflux-events-${randomBytes(6).toString('hex')}`;
    this.config = { ...kafkaOptions(target), connectionTimeout: CONNECT_MS };
  }

  override levelsOf({ topic, key = '' }: EventMessage): string[] | undefined {
    if (topic === this.webhooks) return ['webhooks', key];
    return topic === this.units ? key.split('/') : undefined;
  }

  override async open(
    subscriptions: readonly Subscription[],
    take: Take,
    onLost: () => void,
    signal: AbortSignal,
  ): Promise<EventConnection> {
    const { Kafka, logLevel } = this.driver;
    const kafka = new Kafka({ ...this.config, retry: { retries: 0 }, logLevel: logLevel.NOTHING });
    const consumer = kafka.consumer({
      groupId: this.group,
      maxWaitTimeInMs: FETCH_MS,
      maxBytesPerPartition: MAX_MESSAGE_BYTES,
      allowAutoTopicCreation: false,
      // Without this, it restarts by itself.
      retry: { retries: 0, restartOnFailure: () => Promise.resolve(false) },
    });
    const admin = kafka.admin();
    const destroy = (): void => {
      void consumer.disconnect().catch(() => undefined);
      void admin.disconnect().catch(() => undefined);
    };
    signal.addEventListener('abort', destroy);
    try {
      const topics = subscriptions.map(({ filter }) => filter);
      await admin.connect();
      await this.demandTopics(admin, topics);
      await consumer.connect();
      await consumer.subscribe({ topics, fromBeginning: false });
      await running(consumer, take, onLost);
    } catch (error) {
      destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', destroy);
    }
    return {
      close: async () => {
        await consumer.disconnect();
        if (!this.keepsGroup) await admin.deleteGroups([this.group]).catch(() => undefined);
        await admin.disconnect();
      },
      destroy,
    };
  }

  private async demandTopics(admin: Admin, topics: readonly string[]): Promise<void> {
    const known = await admin.listTopics();
    const missing = topics.filter((topic) => !known.includes(topic));
    if (missing.length > 0) await admin.createTopics({ topics: missing.map((topic) => ({ topic })) });
  }
}

/** Resolves when the consumer has joined its group. */
function running(consumer: Consumer, take: Take, onLost: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const { CRASH, DISCONNECT, GROUP_JOIN, STOP } = consumer.events;
    consumer.on(GROUP_JOIN, () => {
      resolve();
    });
    consumer.on(CRASH, ({ payload }) => {
      reject(payload.error);
      onLost();
    });
    for (const event of [DISCONNECT, STOP]) consumer.on(event, onLost);
    const eachMessage = async ({ topic, message: { key, value, headers } }: EachMessagePayload): Promise<void> => {
      await take({
        topic,
        payload: value ?? Buffer.alloc(0),
        headers: headersOf(Object.entries(headers ?? {})),
        ...(key && { key: key.toString('utf8') }),
        retained: false,
      });
    };
    consumer.run({ eachMessage }).catch(reject);
  });
}
