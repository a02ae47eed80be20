import type * as natsJetStream from '@nats-io/jetstream';
import type * as natsTransport from '@nats-io/transport-node';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node';
import { deviceOf, NATS_REFUSALS, wordsOf, type BrokerAddress } from '../../broker/index.js';
import { ExplainedError } from '../../errors.js';
import { delay } from '../../timers.js';
import { ConnectedNotifier } from '../connected-notifier.js';
import { KeptNotices } from '../kept-notices.js';
import { nameOf, payloadOf, type ReleaseNotice } from '../notifier.js';

export interface NatsDriver {
  readonly transport: typeof natsTransport;
  readonly jetstream: typeof natsJetStream;
}

export interface NatsOptions {
  /** Messages go to `SUBJECT.DEVICE`. */
  readonly subject: string;
  /**
   * Name of the stream to create if no stream contains the subject. Undefined: the name is derived from the subject.
   */
  readonly stream: string | undefined;
  /** `auto` uses JetStream if the server has it. */
  readonly jetStream: 'auto' | 'true' | 'false';
  readonly memory: string;
  readonly connection: NodeConnectionOptions;
}

interface Connection {
  readonly nats: NatsConnection;
  /** What the server has refused, by subject. */
  readonly refused: Map<string, Error>;
  /** Undefined without JetStream. */
  readonly jetStream: { readonly client: JetStreamClient; readonly stream: string } | undefined;
}

const CONNECT_MS = 10_000;
/** JetStream is not enabled: for the server, or for the account (nats-server, server/errors.json). */
const NOT_ENABLED = [10_039, 10_076];
const PAGE = 1_000;
const PAGE_MS = 10_000;

/**
 * Sends messages to `SUBJECT.DEVICE`. If there is JetStream, a stream keeps them: the last message of each subject is
 * the newest.
 */
export class NatsNotifier extends ConnectedNotifier<Connection> {
  protected override readonly refusals = NATS_REFUSALS;

  constructor(
    override readonly name: string,
    protected override readonly address: BrokerAddress,
    private readonly driver: NatsDriver,
    private readonly options: NatsOptions,
  ) {
    super();
  }

  override get memory(): string {
    return `${this.name}-${this.options.memory}`;
  }

  protected override async connect(onLost: () => void): Promise<Connection> {
    const nats = await this.driver.transport.connect({
      ...this.options.connection,
      name: 'otaflux',
      reconnect: false,
      timeout: CONNECT_MS,
    });
    void nats.closed().then(onLost, onLost);
    const refused = new Map<string, Error>();
    void this.collectRefused(nats, refused);
    try {
      return {
        nats,
        refused,
        jetStream: this.options.jetStream === 'false' ? undefined : await this.demandStream(nats),
      };
    } catch (error) {
      await nats.close();
      throw error;
    }
  }

  protected override async send({ nats, refused, jetStream }: Connection, notice: ReleaseNotice): Promise<void> {
    const subject = `${this.options.subject}.${wordsOf(nameOf(notice))}`;
    if (jetStream) {
      await jetStream.client.publish(subject, payloadOf(notice), { expect: { streamName: jetStream.stream } });
      return;
    }
    nats.publish(subject, payloadOf(notice));
    // The answer to this ping arrives after the server has read the message.
    await nats.flush();
    // The refusal arrives before that answer, but the library passes it on a moment later.
    await delay(0);
    const problem = refused.get(subject);
    refused.delete(subject);
    if (problem) throw problem;
  }

  protected override async readKept({ jetStream }: Connection): Promise<KeptNotices | undefined> {
    if (!jetStream) return undefined;
    const { DeliverPolicy } = this.driver.jetstream;
    const consumer = await jetStream.client.consumers.get(jetStream.stream, {
      filter_subjects: `${this.options.subject}.>`,
      deliver_policy: DeliverPolicy.LastPerSubject,
    });
    const told = new KeptNotices();
    let { num_pending: pending } = await consumer.info();
    while (pending > 0) {
      const messages = await consumer.fetch({ max_messages: Math.min(pending, PAGE), expires: PAGE_MS });
      let received = 0;
      for await (const message of messages) {
        received++;
        pending = message.info.pending;
        const payload = message.string();
        if (payload) told.note(deviceOf(message.subject.slice(this.options.subject.length + 1)), payload);
      }
      if (received === 0)
        throw new ExplainedError(
          `cannot use ${this.address.shown}: the stream ${jetStream.stream} does not return its messages. Allow the user to create consumers in it`,
        );
    }
    return told;
  }

  protected override async disconnect({ nats }: Connection): Promise<void> {
    await nats.drain();
  }

  protected override destroy({ nats }: Connection): void {
    void nats.close().catch(() => undefined);
  }

  /** Without JetStream, the server answers a message that it refuses only with an error on the connection. */
  private async collectRefused(nats: NatsConnection, refused: Map<string, Error>): Promise<void> {
    const { PermissionViolationError } = this.driver.transport;
    for await (const status of nats.status())
      if (status.type === 'error' && status.error instanceof PermissionViolationError)
        refused.set(status.error.subject, status.error);
  }

  /**
   * Returns the stream that contains the subject, and creates it if there is none. Returns undefined if the server has
   * no JetStream.
   */
  private async demandStream(nats: NatsConnection): Promise<Connection['jetStream']> {
    const { jetstream } = this.driver;
    let manager: JetStreamManager;
    try {
      manager = await jetstream.jetstreamManager(nats);
    } catch (error) {
      if (this.options.jetStream === 'auto' && this.hasNoJetStream(error)) return undefined;
      throw error;
    }
    const subjects = [`${this.options.subject}.>`];
    const stream = await manager.streams.find(subjects[0] ?? '').catch(async () => {
      const name = this.options.stream ?? this.options.subject.replaceAll('.', '_');
      const { config } = await manager.streams.add({
        name,
        subjects,
        description: 'What OtaFlux told of each device',
        max_msgs_per_subject: 1,
        storage: jetstream.StorageType.File,
      });
      return config.name;
    });
    return { client: jetstream.jetstream(nats), stream };
  }

  private hasNoJetStream(error: unknown): boolean {
    const { JetStreamApiError } = this.driver.jetstream;
    if (error instanceof JetStreamApiError) return NOT_ENABLED.includes(error.code);
    // The library does not export this class.
    return (error as { name?: unknown }).name === 'JetStreamNotEnabled';
  }
}
