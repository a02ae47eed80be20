import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { delay } from '../../timers.js';
import { ConnectedNotifier } from '../connected-notifier.js';
import { KeptNotices } from '../kept-notices.js';
import { payloadOf, type ReleaseNotice } from '../notifier.js';

export interface MqttNotifierOptions {
  readonly name: string;
  readonly url: string;
  /** Messages go to `TOPIC/DEVICE`. */
  readonly topic: string;
  readonly client: IClientOptions;
}

/** As long as a broker may take to let us in. */
const CONNECT_MS = 10_000;
/** Retained messages come in a row behind the subscription; when none has come for so long, that was all. */
const QUIET_MS = 300;
const MAX_READ_MS = 10_000;

/** One retained message a device, QoS 1, at `TOPIC/DEVICE` (CONTRACT, "Webhooks and notifications"). */
export class MqttNotifier extends ConnectedNotifier<MqttClient> {
  override readonly name: string;

  constructor(private readonly options: MqttNotifierOptions) {
    super();
    this.name = options.name;
  }

  protected override async connect(onLost: () => void): Promise<MqttClient> {
    const client = await mqtt.connectAsync(
      this.options.url,
      { ...this.options.client, reconnectPeriod: 0, connectTimeout: CONNECT_MS, clean: true },
      false,
    );
    client.on('error', () => undefined);
    client.once('close', onLost);
    return client;
  }

  protected override async send(client: MqttClient, notice: ReleaseNotice): Promise<void> {
    await client.publishAsync(`${this.options.topic}/${notice.device}`, payloadOf(notice), { qos: 1, retain: true });
  }

  protected override async disconnect(client: MqttClient): Promise<void> {
    await client.endAsync(false);
  }

  protected override destroy(client: MqttClient): void {
    client.end(true);
  }

  /** What the broker keeps: the payload that each device was last told. */
  protected override async readKept(client: MqttClient, signal: AbortSignal): Promise<KeptNotices> {
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
      // A broker that forbids reading tells nothing: then everything is told once more after a start.
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
}
