import mqtt, { type MqttClient } from 'mqtt';
import { expectStop, stopped } from './leftovers.js';

export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
  readonly qos: number;
}

/** A subscriber to everything below a topic. */
export class Subscriber {
  readonly messages: Received[] = [];

  private constructor(private readonly client: MqttClient) {
    client.on('message', (topic, payload, { retain, qos }) => {
      this.messages.push({ topic, payload: payload.toString(), retain, qos });
    });
  }

  static async start(port: number, filter = '#', options: mqtt.IClientOptions = {}): Promise<Subscriber> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 100, ...options }, true);
    const subscriber = new Subscriber(client);
    expectStop(subscriber, () => subscriber.stop());
    await client.subscribeAsync(filter, { qos: 1 });
    return subscriber;
  }

  /** The newest message of each topic. */
  get newest(): Map<string, string> {
    return new Map(this.messages.map(({ topic, payload }) => [topic, payload]));
  }

  async stop(): Promise<void> {
    stopped(this);
    await this.client.endAsync(true);
  }
}
