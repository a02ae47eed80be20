import type * as kafkajs from 'kafkajs';
import { randomBytes } from 'node:crypto';
import type { Admin, Consumer, Kafka, KafkaConfig, Producer } from 'kafkajs';
import { ExplainedError } from '../../errors.js';
import { after, type Timer } from '../../timers.js';
import { KAFKA_REFUSALS, type BrokerAddress } from '../../broker/index.js';
import { ConnectedNotifier } from '../connected-notifier.js';
import { KeptNotices } from '../kept-notices.js';
import { nameOf, payloadOf, type ReleaseNotice } from '../notifier.js';

type Driver = typeof kafkajs;

interface Connection {
  readonly kafka: Kafka;
  readonly producer: Producer;
  readonly admin: Admin;
}

const CONNECT_MS = 10_000;
/** All in-sync replicas must have the record. */
const ACKS_ALL = -1;
/** Joining a consumer group takes three seconds and more (group.initial.rebalance.delay.ms). */
const MAX_READ_MS = 60_000;
/** How long a fetch waits for more records. The shutdown of the consumer waits for it. */
const FETCH_MS = 200;

/**
 * Sends records with the device as the key, confirmed by all in-sync replicas. Creates the topic as a compacted one if
 * it does not exist. The newest record of each key is the last message. A record without a value (a tombstone) means
 * that there is no release.
 */
export class KafkaNotifier extends ConnectedNotifier<Connection> {
  protected override readonly refusals = KAFKA_REFUSALS;

  constructor(
    override readonly name: string,
    protected override readonly address: BrokerAddress,
    private readonly topic: string,
    private readonly driver: Driver,
    private readonly config: KafkaConfig,
  ) {
    super();
  }

  protected override async connect(): Promise<Connection> {
    const { Kafka, logLevel, Partitioners } = this.driver;
    const kafka = new Kafka({
      ...this.config,
      connectionTimeout: CONNECT_MS,
      // The outbox waits and tries again. A client that retries by itself could send an old message after a newer one.
      retry: { retries: 0 },
      logLevel: logLevel.NOTHING,
    });
    const admin = kafka.admin();
    // The same partition as with Java clients: all records of a device are in one partition, in order.
    const producer = kafka.producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      allowAutoTopicCreation: false,
    });
    const connection = { kafka, producer, admin };
    try {
      await admin.connect();
      await producer.connect();
      await this.demandTopic(admin);
    } catch (error) {
      this.destroy(connection);
      throw error;
    }
    return connection;
  }

  protected override async send({ producer }: Connection, notice: ReleaseNotice): Promise<void> {
    const value = payloadOf(notice) || null;
    await producer.send({ topic: this.topic, acks: ACKS_ALL, messages: [{ key: nameOf(notice), value }] });
  }

  /** Reads the topic from its beginning to its end at the start of the reading. */
  protected override async readKept({ kafka, admin }: Connection): Promise<KeptNotices> {
    const told = new KeptNotices();
    const ends = new Map<number, bigint>();
    for (const { partition, low, high } of await admin.fetchTopicOffsets(this.topic))
      if (BigInt(high) > BigInt(low)) ends.set(partition, BigInt(high));
    if (ends.size === 0) return told;
    const groupId = `otaflux-read-${randomBytes(6).toString('hex')}`;
    const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: FETCH_MS, allowAutoTopicCreation: false });
    try {
      await this.readTo(ends, consumer, (device, payload) => {
        told.note(device, payload);
      });
    } finally {
      await consumer.disconnect();
      await admin.deleteGroups([groupId]).catch(() => undefined);
    }
    return told;
  }

  protected override async disconnect(connection: Connection): Promise<void> {
    await Promise.all([connection.producer.disconnect(), connection.admin.disconnect()]);
  }

  protected override destroy(connection: Connection): void {
    this.disconnect(connection).catch(() => undefined);
  }

  private async readTo(
    ends: Map<number, bigint>,
    consumer: Consumer,
    note: (device: string, payload: string) => void,
  ): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topics: [this.topic], fromBeginning: true });
    let timer: Timer | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const { CRASH } = consumer.events;
        consumer.on(CRASH, ({ payload }) => {
          reject(payload.error);
        });
        timer = after(MAX_READ_MS, () => {
          reject(
            new ExplainedError(
              `cannot use ${this.address.shown}: the topic ${this.topic} could not be read within ${MAX_READ_MS / 1000} s. Check the brokers, and the permission of the user to read the topic`,
            ),
          );
        });
        consumer
          .run({
            autoCommit: false,
            eachBatch: ({ batch }) => {
              for (const { key, value } of batch.messages)
                if (key) note(key.toString('utf8'), value?.toString('utf8') ?? '');
              // Compaction and transaction markers leave gaps, so the last offset of a batch counts, not that of a
              // record.
              if (BigInt(batch.lastOffset()) + 1n >= (ends.get(batch.partition) ?? 0n)) ends.delete(batch.partition);
              if (ends.size === 0) resolve();
              return Promise.resolve();
            },
          })
          .catch(reject);
      });
    } finally {
      timer?.stop();
    }
  }

  private async demandTopic(admin: Admin): Promise<void> {
    if ((await admin.listTopics()).includes(this.topic)) return;
    await admin.createTopics({
      topics: [{ topic: this.topic, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }],
    });
  }
}
