import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { Subject, type Observable } from 'rxjs';
import { setTimeout as delay } from 'node:timers/promises';
import { Notifier, payloadOf, type ReleaseNotice } from '../notifier.js';

export interface MqttNotifierOptions {
  readonly url: string;
  /** Messages go to `TOPIC/DEVICE`. */
  readonly topic: string;
  readonly client: IClientOptions;
}

/** As long as a broker may take to let us in. */
const CONNECT_MS = 10_000;
/** For the last words to a broker. */
const GOODBYE_MS = 1_000;
/** Retained messages come in a row behind the subscription; when none has come for so long, that was all. */
const QUIET_MS = 300;
const MAX_READ_MS = 10_000;

/** One retained message a device, QoS 1, at `TOPIC/DEVICE` (CONTRACT, "Webhooks and notifications"). */
export class MqttNotifier extends Notifier {
  override readonly name = 'mqtt';
  private readonly lostSubject = new Subject<void>();
  private client: MqttClient | undefined;

  constructor(private readonly options: MqttNotifierOptions) {
    super();
  }

  override get lost(): Observable<void> {
    return this.lostSubject.asObservable();
  }

  /** Connects anew: what an earlier connection did not get confirmed must not be sent behind what is newer. */
  override async open(): Promise<ReadonlyMap<string, string>> {
    await this.close();
    const client = await mqtt.connectAsync(
      this.options.url,
      { ...this.options.client, reconnectPeriod: 0, connectTimeout: CONNECT_MS, clean: true },
      false,
    );
    this.client = client;
    client.on('error', () => undefined);
    // One for each notice on its way.
    client.setMaxListeners(0);
    client.once('close', () => {
      if (this.client !== client) return;
      this.client = undefined;
      client.end(true);
      this.lostSubject.next();
    });
    return this.readRetained(client);
  }

  /** Rejects when the broker does not confirm in time, or the connection goes: of no use any more then, it is ended. */
  override publish(notice: ReleaseNotice, signal: AbortSignal): Promise<void> {
    const { client } = this;
    if (!client?.connected) return Promise.reject(new Error('not connected'));
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null): void => {
        client.off('close', onClose);
        signal.removeEventListener('abort', onAbort);
        if (error) reject(error);
        else resolve();
      };
      const onClose = (): void => {
        done(new Error('the connection was lost before the broker confirmed'));
      };
      const onAbort = (): void => {
        done(new Error('the broker does not confirm'));
        client.end(true);
      };
      client.once('close', onClose);
      signal.addEventListener('abort', onAbort);
      const topic = `${this.options.topic}/${notice.device}`;
      client.publish(topic, payloadOf(notice), { qos: 1, retain: true }, done);
    });
  }

  override async close(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    if (!client) return;
    // What waits for a confirmation would keep it open for ever.
    await Promise.race([client.endAsync(false).catch(() => undefined), delay(GOODBYE_MS)]);
    client.end(true);
  }

  /** What the broker keeps: the payload that each device was last told. */
  private async readRetained(client: MqttClient): Promise<Map<string, string>> {
    const prefix = `${this.options.topic}/`;
    const told = new Map<string, string>();
    let last = performance.now();
    const note = (topic: string, payload: Buffer, { retain }: { retain: boolean }): void => {
      last = performance.now();
      if (retain && topic.startsWith(prefix)) told.set(topic.slice(prefix.length), payload.toString('utf8'));
    };
    client.on('message', note);
    try {
      const [granted] = await client.subscribeAsync(`${prefix}#`, { qos: 1 });
      // A broker that forbids reading tells nothing: then everything is told once more after a start.
      if (granted === undefined || granted.qos > 1) return told;
      const startedMs = performance.now();
      last = Math.max(last, startedMs);
      while (performance.now() - last < QUIET_MS && performance.now() - startedMs < MAX_READ_MS)
        await new Promise((resolve) => setTimeout(resolve, QUIET_MS / 4));
      await client.unsubscribeAsync(`${prefix}#`);
    } finally {
      client.off('message', note);
    }
    return told;
  }
}
