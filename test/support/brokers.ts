import amqplib from 'amqplib';
import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import { Kafka, logLevel } from 'kafkajs';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { containerOf, hasContainers, type Container } from './containers.js';
import { expectStop, stopped } from './leftovers.js';
import { accepts, freePort, runProgram } from './real-server.js';

/** A message as a subscriber got it. */
export interface Message {
  readonly device: string;
  readonly payload: string;
}

/** Makes a broker demand TLS and client certificates of `ca`, and show `server`. */
export interface BrokerTls {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
}

export interface Listener {
  readonly messages: Message[];
  stop(): Promise<unknown>;
}

/** A real broker, on one port and with one data folder for as long as it is used. */
export abstract class Broker {
  port = 0;
  protected readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-broker-'));
  private process: ChildProcess | undefined;

  get pid(): number {
    return this.process?.pid ?? 0;
  }

  /** The URL for NOTIFY. */
  abstract get url(): string;
  /** A client of the broker's own library that gets what is told from now on. */
  abstract listen(): Promise<Listener>;
  /** What a client that comes now can read: the newest message of each device. */
  abstract newest(): Promise<Map<string, string>>;
  protected abstract command(): { program: string; args: string[]; env?: NodeJS.ProcessEnv };

  async start(): Promise<this> {
    expectStop(this, () => this.stop());
    this.port ||= await freePort();
    const { program, args, env } = this.command();
    // Its own process group: launchers in shell would outlive what they launched, or the other way round.
    this.process = spawn(program, args, { stdio: 'ignore', detached: true, env: { ...process.env, ...env } });
    const deadline = Date.now() + 60_000;
    while (!(await accepts(this.port))) {
      if (this.process.exitCode !== null) throw new Error(`${program} ended with ${this.process.exitCode}`);
      if (Date.now() > deadline) throw new Error(`${program} does not listen`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return this;
  }

  /** Kills it without warning. */
  async kill(): Promise<void> {
    const { process: child } = this;
    this.process = undefined;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const { pid } = child;
    await new Promise((resolve) => {
      child.once('exit', resolve);
      process.kill(-pid, 'SIGKILL');
    });
    while (await accepts(this.port)) await new Promise((resolve) => setTimeout(resolve, 25));
  }

  async stop(): Promise<void> {
    stopped(this);
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class RedisServer extends Broker {
  constructor(private readonly tls?: BrokerTls) {
    super();
  }

  override get url(): string {
    return `redis://127.0.0.1:${this.port}?topic=firmware:releases`;
  }

  override async listen(): Promise<Listener> {
    const client = new Redis(this.port, '127.0.0.1');
    const messages: Message[] = [];
    client.on('pmessage', (_pattern: string, channel: string, payload: string) => {
      messages.push({ device: channel.replace('firmware:releases:', ''), payload });
    });
    client.on('error', () => undefined);
    await client.psubscribe('firmware:releases:*');
    return {
      messages,
      stop: () => {
        client.disconnect();
        return Promise.resolve();
      },
    };
  }

  override async newest(): Promise<Map<string, string>> {
    const client = new Redis(this.port, '127.0.0.1');
    const kept = new Map<string, string>();
    for (const key of await client.keys('*'))
      kept.set(key.replace('firmware:releases:', ''), (await client.get(key)) ?? '');
    client.disconnect();
    return kept;
  }

  protected override command(): ReturnType<Broker['command']> {
    const options = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--dir', this.folder];
    const port = this.tls ? ['--port', '0', '--tls-port'] : ['--port'];
    const tls = this.tls
      ? ['--tls-cert-file', this.tls.server.cert, '--tls-key-file', this.tls.server.key].concat(
          ['--tls-ca-cert-file', this.tls.ca],
          ['--requirepass', 'p@ss'],
        )
      : [];
    return { program: 'redis-server', args: ['--bind', '127.0.0.1', ...port, String(this.port), ...options, ...tls] };
  }
}

const wordsToDevice = (words: string): string => words.replaceAll('.', '/').replaceAll('%2E', '.');

export class NatsServer extends Broker {
  constructor(
    private readonly hasJetStream = true,
    private readonly tls?: BrokerTls,
  ) {
    super();
  }

  override get url(): string {
    return `nats://127.0.0.1:${this.port}?topic=firmware/releases`;
  }

  override async listen(): Promise<Listener> {
    const client = await connectNats({ servers: `127.0.0.1:${this.port}`, reconnect: false });
    const messages: Message[] = [];
    client.subscribe('firmware.releases.>', {
      callback: (_error, message) => {
        const device = wordsToDevice(message.subject.replace('firmware.releases.', ''));
        messages.push({ device, payload: message.string() });
      },
    });
    await client.flush();
    return { messages, stop: () => client.close() };
  }

  override async newest(): Promise<Map<string, string>> {
    const client = await connectNats({ servers: `127.0.0.1:${this.port}`, reconnect: false });
    const kept = new Map<string, string>();
    const stream = await (await jetstreamManager(client)).streams.find('firmware.releases.>').catch(() => undefined);
    if (stream !== undefined) {
      const consumer = await jetstream(client).consumers.get(stream, { deliver_policy: DeliverPolicy.All });
      let { num_pending: pending } = await consumer.info();
      while (pending > 0) {
        for await (const message of await consumer.fetch({ max_messages: pending, expires: 2_000 })) {
          pending = message.info.pending;
          kept.set(wordsToDevice(message.subject.replace('firmware.releases.', '')), message.string());
        }
      }
    }
    await client.close();
    return kept;
  }

  protected override command(): ReturnType<Broker['command']> {
    const stream = this.hasJetStream ? ['-js', '-sd', this.folder] : [];
    const tls = this.tls
      ? ['--tlsverify', '--tlscert', this.tls.server.cert, '--tlskey', this.tls.server.key].concat(
          ['--tlscacert', this.tls.ca],
          ['--user', 'robot', '--pass', 'p@ss'],
        )
      : [];
    return { program: 'nats-server', args: ['-a', '127.0.0.1', '-p', String(this.port), ...stream, ...tls] };
  }
}

/** Its newest messages are those in a durable queue that everything is routed to, as an application would have one. */
export class RabbitMq extends Broker {
  private distributionPort = 0;
  private mapperPort = 0;
  constructor(private readonly tls?: BrokerTls) {
    super();
  }

  private readonly name = `otaflux-${process.pid}-${Math.floor(Math.random() * 1e6)}@localhost`;

  override get url(): string {
    return `amqp://127.0.0.1:${this.port}?topic=firmware.releases`;
  }

  override async start(): Promise<this> {
    this.port ||= await freePort();
    this.distributionPort ||= await freePort();
    this.mapperPort ||= await freePort();
    await super.start();
    if (this.tls) return this;
    await this.withChannel(async (channel) => {
      await channel.assertExchange('firmware.releases', 'topic', { durable: true });
      await channel.assertQueue('all', { durable: true });
      await channel.bindQueue('all', 'firmware.releases', '#');
    });
    return this;
  }

  override async stop(): Promise<void> {
    await super.stop();
    // Erlang's port mapper goes on by itself; this one is ours alone.
    spawnSync('epmd', ['-kill'], { env: { ...process.env, ERL_EPMD_PORT: String(this.mapperPort) } });
  }

  override async listen(): Promise<Listener> {
    const connection = await amqplib.connect(`amqp://127.0.0.1:${this.port}`);
    connection.on('error', () => undefined);
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'firmware.releases', '#');
    const messages: Message[] = [];
    await channel.consume(queue, (message) => {
      if (message) messages.push(this.messageOf(message));
    });
    return { messages, stop: () => connection.close() };
  }

  /** Takes the messages out of the queue. `kept` is what was read before. */
  override async newest(kept = new Map<string, string>()): Promise<Map<string, string>> {
    await this.withChannel(async (channel) => {
      for (let message = await channel.get('all'); message; message = await channel.get('all')) {
        const { device, payload } = this.messageOf(message);
        if (payload) kept.set(device, payload);
        else kept.delete(device);
      }
    });
    return kept;
  }

  protected override command(): ReturnType<Broker['command']> {
    const path = (name: string): string => join(this.folder, name);
    const lines = this.tls
      ? [
          'listeners.tcp = none',
          `listeners.ssl.1 = 127.0.0.1:${this.port}`,
          `ssl_options.cacertfile = ${this.tls.ca}`,
          `ssl_options.certfile = ${this.tls.server.cert}`,
          `ssl_options.keyfile = ${this.tls.server.key}`,
          'ssl_options.verify = verify_peer',
          'ssl_options.fail_if_no_peer_cert = true',
        ]
      : [`listeners.tcp.1 = 127.0.0.1:${this.port}`];
    writeFileSync(path('rabbitmq.conf'), [...lines, ''].join('\n'));
    writeFileSync(path('plugins'), '[].');
    const env = {
      HOME: this.folder,
      ERL_EPMD_PORT: String(this.mapperPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: this.name,
      RABBITMQ_DIST_PORT: String(this.distributionPort),
      RABBITMQ_MNESIA_BASE: path('data'),
      RABBITMQ_LOG_BASE: path('log'),
      RABBITMQ_CONFIG_FILE: path('rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: path('plugins'),
      RABBITMQ_PID_FILE: path('pid'),
    };
    // The one on the PATH wants to change its user.
    return { program: '/usr/lib/rabbitmq/bin/rabbitmq-server', args: [], env };
  }

  private messageOf({ fields, content, properties }: amqplib.GetMessage | amqplib.ConsumeMessage): Message {
    const device = wordsToDevice(fields.routingKey);
    if (properties.headers?.device !== device) throw new Error(`the header does not name ${device}`);
    return { device, payload: content.toString() };
  }

  private async withChannel(use: (channel: amqplib.Channel) => Promise<void>): Promise<void> {
    // It listens some time before it lets anybody in.
    for (let tries = 0; ; tries++) {
      try {
        const connection = await amqplib.connect(`amqp://127.0.0.1:${this.port}`);
        await use(await connection.createChannel());
        await connection.close();
        return;
      } catch (error) {
        if (tries > 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }
}

/** A real Kafka in a container where Docker is, else the protocol double of franz-go (kfake), which loses its data when it is killed. */
export class KafkaServer extends Broker {
  private container: Container | undefined;

  override get url(): string {
    return `kafka://127.0.0.1:${this.port}?topic=firmware/releases`;
  }

  override async start(): Promise<this> {
    if (!hasContainers()) return super.start();
    expectStop(this, () => this.stop());
    this.port ||= await freePort();
    this.container = await (
      await containerOf('apache/kafka:4.1.0')
    )
      .withExposedPorts({ container: this.port, host: this.port })
      .withEnvironment({
        KAFKA_NODE_ID: '1',
        KAFKA_PROCESS_ROLES: 'broker,controller',
        KAFKA_LISTENERS: `PLAINTEXT://:${this.port},CONTROLLER://:9093`,
        KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${this.port}`,
        KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
        KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      })
      .start();
    return this;
  }

  override async kill(): Promise<void> {
    await this.container?.stop({ timeout: 0 });
    this.container = undefined;
    await super.kill();
  }

  override async listen(): Promise<Listener> {
    const kafka = new Kafka({ brokers: [`127.0.0.1:${this.port}`], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    if (!(await admin.listTopics()).includes('firmware.releases'))
      await admin.createTopics({ topics: [{ topic: 'firmware.releases', numPartitions: 3 }] });
    await admin.disconnect();
    const consumer = kafka.consumer({ groupId: `listener-${Math.random()}`, maxWaitTimeInMs: 100 });
    await consumer.connect();
    await consumer.subscribe({ topics: ['firmware.releases'], fromBeginning: true });
    const messages: Message[] = [];
    await consumer.run({
      eachMessage: ({ message: { key, value } }) => {
        messages.push({ device: key?.toString() ?? '', payload: value?.toString() ?? '' });
        return Promise.resolve();
      },
    });
    return { messages, stop: () => consumer.disconnect() };
  }

  override async newest(): Promise<Map<string, string>> {
    const listener = await this.listen();
    // The end of a topic is where nothing more comes.
    for (let count = -1; count !== listener.messages.length; await new Promise((resolve) => setTimeout(resolve, 500)))
      count = listener.messages.length;
    await listener.stop();
    const kept = new Map(listener.messages.map(({ device, payload }) => [device, payload]));
    for (const [device, payload] of kept) if (!payload) kept.delete(device);
    return kept;
  }

  protected override command(): ReturnType<Broker['command']> {
    const source = fileURLToPath(new URL('kafka-double', import.meta.url));
    const program = join(this.folder, 'kafka-double');
    runProgram('go', ['build', '-o', program, '.'], source);
    return { program, args: [String(this.port)] };
  }
}
