import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { ExplainedError } from '../../errors.js';
import { RABBITMQ_REFUSALS, wordsOf, type BrokerAddress } from '../../broker/index.js';
import { ConnectedNotifier } from '../connected-notifier.js';
import { nameOf, payloadOf, type ReleaseNotice } from '../notifier.js';

interface Connection {
  readonly model: ChannelModel;
  readonly channel: ConfirmChannel;
}

export type Connect = (options: {
  timeout: number;
  clientProperties: Record<string, unknown>;
}) => Promise<ChannelModel>;

const CONNECT_MS = 10_000;
/** AMQP 0-9-1, constants: the requested object does not exist. */
const NOT_FOUND = 404;

/**
 * Sends persistent messages to a durable topic exchange, with the device as the routing key. An exchange keeps nothing.
 * Readers bind a queue to it.
 */
export class RabbitMqNotifier extends ConnectedNotifier<Connection> {
  protected override readonly refusals = RABBITMQ_REFUSALS;

  constructor(
    override readonly name: string,
    protected override readonly address: BrokerAddress,
    private readonly exchange: string,
    private readonly fingerprint: string,
    private readonly connectTo: Connect,
  ) {
    super();
  }

  override get memory(): string {
    return `${this.name}-${this.fingerprint}`;
  }

  protected override async connect(onLost: () => void): Promise<Connection> {
    const model = await this.connectTo({
      timeout: CONNECT_MS,
      clientProperties: { connection_name: 'otaflux' },
    });
    model.on('error', () => undefined);
    model.once('close', onLost);
    try {
      const channel = await this.demandExchange(model);
      channel.on('error', () => undefined);
      channel.once('close', onLost);
      return { model, channel };
    } catch (error) {
      destroy(model);
      throw error;
    }
  }

  protected override send({ channel }: Connection, notice: ReleaseNotice): Promise<void> {
    const payload = Buffer.from(payloadOf(notice));
    const options = {
      persistent: true,
      contentType: 'application/json',
      appId: 'otaflux',
      timestamp: Math.floor(Date.now() / 1000),
      // A reader of all messages must not take a stage of a rollout for the release of the device.
      headers: { device: nameOf(notice), ...(notice.channel !== undefined && { channel: notice.channel }) },
    };
    return new Promise((resolve, reject) => {
      channel.publish(this.exchange, wordsOf(nameOf(notice)), payload, options, (error: unknown) => {
        if (error)
          reject(
            error instanceof Error
              ? error
              : new ExplainedError(`${this.address.shown} refused the message. Check the log of the broker`),
          );
        else resolve();
      });
    });
  }

  protected override readKept(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  protected override async disconnect({ model }: Connection): Promise<void> {
    await model.close();
  }

  protected override destroy({ model }: Connection): void {
    destroy(model);
  }

  /**
   * Returns a channel, after the exchange exists. An account that may not declare an exchange can use an existing one.
   */
  private async demandExchange(model: ChannelModel): Promise<ConfirmChannel> {
    const first = await model.createConfirmChannel();
    first.on('error', () => undefined);
    try {
      await first.checkExchange(this.exchange);
      return first;
    } catch (error) {
      if ((error as { code?: unknown }).code !== NOT_FOUND) throw error;
    }
    // The failed check has closed its channel (AMQP 0-9-1, "Channel exceptions").
    const channel = await model.createConfirmChannel();
    await channel.assertExchange(this.exchange, 'topic', { durable: true });
    return channel;
  }
}

/** Destroys the socket, which `close` would keep open if the broker does not answer. */
function destroy(model: ChannelModel): void {
  const { stream } = model.connection as unknown as { stream?: { destroy(): void } };
  stream?.destroy();
}
