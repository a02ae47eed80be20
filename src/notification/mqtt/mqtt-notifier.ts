import { Logger } from '@nestjs/common';
import mqtt, { type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt';
import pLimit, { type LimitFunction } from 'p-limit';
import { delay } from '../../timers.js';
import { MQTT_REFUSALS, type BrokerAddress } from '../../broker/index.js';
import { ConnectedNotifier } from '../connected-notifier.js';
import { KeptNotices } from '../kept-notices.js';
import { nameOf, payloadOf, Undeliverable, type ReleaseNotice } from '../notifier.js';
import { consequencesOf, limitsOf, publishBytes, type BrokerLimits } from './broker-limits.js';

export interface MqttNotifierOptions {
  readonly name: string;
  readonly url: string;
  readonly address: BrokerAddress;
  /** Messages go to `TOPIC/DEVICE`, those about a channel to `TOPIC/DEVICE/channels/CHANNEL`. */
  readonly topic: string;
  readonly client: IClientOptions;
}

interface Connection {
  readonly client: MqttClient;
  readonly limits: BrokerLimits;
  /** Limits the number of concurrent messages to that of the broker. */
  readonly turn: LimitFunction;
}

/** How long a broker may take to accept the connection. */
const CONNECT_MS = 10_000;
/**
 * Retained messages arrive one after the other after the subscription. If none arrives for this time, all have arrived.
 */
const QUIET_MS = 300;
const MAX_READ_MS = 10_000;

/**
 * Sends one retained message for each device, with QoS 1, to `TOPIC/DEVICE` (CONTRACT, "Webhooks and notifications").
 */
export class MqttNotifier extends ConnectedNotifier<Connection> {
  override readonly name: string;
  protected override readonly refusals = MQTT_REFUSALS;
  private readonly logger = new Logger('MqttNotifier');
  private toldLimits = '';

  constructor(private readonly options: MqttNotifierOptions) {
    super();
    this.name = options.name;
  }

  protected override get address(): BrokerAddress {
    return this.options.address;
  }

  protected override async connect(onLost: () => void): Promise<Connection> {
    const options = { ...this.options.client, reconnectPeriod: 0, connectTimeout: CONNECT_MS, clean: true };
    const client = mqtt.connect(this.options.url, options);
    const limits = limitsOf(await connected(client));
    this.tellLimits(limits);
    client.on('error', () => undefined);
    client.once('close', onLost);
    return { client, limits, turn: pLimit(Math.max(limits.receiveMaximum, 1)) };
  }

  protected override async send({ client, limits, turn }: Connection, notice: ReleaseNotice): Promise<void> {
    const { qos, retains, maximumPacketSize } = limits;
    const topic = `${this.options.topic}/${nameOf(notice)}`;
    const payload = payloadOf(notice);
    const bytes = publishBytes(topic, payload, qos);
    if (bytes > maximumPacketSize)
      throw new Undeliverable(
        `the message has ${bytes} bytes, and the broker accepts at most ${maximumPacketSize}. Raise its packet size`,
      );
    await turn(() => client.publishAsync(topic, payload, { qos, retain: retains }));
  }

  protected override async disconnect({ client }: Connection): Promise<void> {
    await client.endAsync(false);
  }

  protected override destroy({ client }: Connection): void {
    client.end(true);
  }

  /** Returns the last payload of each device from the retained messages. Returns undefined if the broker keeps none. */
  protected override async readKept(
    { client, limits }: Connection,
    signal: AbortSignal,
  ): Promise<KeptNotices | undefined> {
    if (!limits.retains || !limits.wildcards) return undefined;
    const prefix = `${this.options.topic}/`;
    const told = new KeptNotices();
    let last = performance.now();
    const note = (topic: string, payload: Buffer, { retain }: { retain: boolean }): void => {
      last = performance.now();
      if (retain && topic.startsWith(prefix)) told.note(topic.slice(prefix.length), payload.toString('utf8'));
    };
    client.on('message', note);
    try {
      const [granted] = await client.subscribeAsync(`${prefix}#`, { qos: 1 });
      // A broker that forbids reading sends nothing. All messages are then sent again after a start.
      if (granted === undefined || granted.qos > 1) return told;
      const startedMs = performance.now();
      last = Math.max(last, startedMs);
      while (!signal.aborted && performance.now() - last < QUIET_MS && performance.now() - startedMs < MAX_READ_MS)
        await delay(QUIET_MS / 4);
      await client.unsubscribeAsync(`${prefix}#`);
    } finally {
      client.off('message', note);
    }
    return told;
  }

  /** Logs the limits of the broker once, and again if they change. */
  private tellLimits(limits: BrokerLimits): void {
    const reasons = consequencesOf(limits);
    const told = reasons.join('\n');
    if (told === this.toldLimits) return;
    this.toldLimits = told;
    for (const reason of reasons) this.logger.warn({ event: 'notifier.limited', notifier: this.name, reason });
  }
}

/**
 * Returns the broker's answer to the connection. Rejects, and closes the client, if there is none or if the broker
 * refuses.
 */
function connected(client: MqttClient): Promise<IConnackPacket> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      client.off('connect', onConnect).off('error', onError).off('close', onClose);
    };
    const onConnect = (answer: IConnackPacket): void => {
      end();
      resolve(answer);
    };
    const onError = (error: Error): void => {
      end();
      client.on('error', () => undefined).end(true);
      reject(error);
    };
    const onClose = (): void => {
      onError(new Error('closed connection'));
    };
    client.on('connect', onConnect).on('error', onError).on('close', onClose);
  });
}
