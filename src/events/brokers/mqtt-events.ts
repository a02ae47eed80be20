import { Transport } from '@nestjs/microservices';
import { randomBytes } from 'node:crypto';
import mqtt, { type IClientOptions, type ISubscriptionMap, type MqttClient } from 'mqtt';
import { addressOf, MQTT_REFUSALS, MQTT_TOPIC_TAKES, mqttOptions, type Target } from '../../broker/index.js';
import { isMqttTopic } from '../../config/index.js';
import { ExplainedError } from '../../errors.js';
import {
  EventBroker,
  levelsBelow,
  prefixOf,
  type EventConnection,
  type Subscription,
  type Take,
} from '../event-broker.js';
import { headersOf, type EventMessage } from '../event-message.js';
import { MAX_COLLECTED_BYTES, SizeGuard } from '../size-guard.js';
import { ownFilters, SLASHES } from '../topics.js';

const CONNECT_MS = 10_000;
/** How long an MQTT 5 broker stores messages while OtaFlux is away: a day. */
const SESSION_S = 86_400;
/** MQTT 3.1.1, section 3.9.3: the return codes of SUBACK from here on are failures. */
const SUBACK_FAILURE = 128;

/** Returns the broker of `mqtt[s]://` and `ws[s]://[user:pass@]host[:port][?topic=…&client_id=…]`. Throws ConfigError. */
export function create(target: Target, name: string): EventBroker {
  target.demandKnown('client_id', 'version', 'subscribe', 'source');
  return new MqttEvents(target, name);
}

/**
 * MQTT, with QoS 1. With a client id of its own, the session is kept: the broker stores messages while OtaFlux is away.
 * Without one, every start is a new client.
 */
class MqttEvents extends EventBroker {
  override readonly kind = 'mqtt';
  override readonly transport = Transport.MQTT;
  override readonly style = SLASHES;
  override readonly refusals = MQTT_REFUSALS;
  override readonly address;
  override readonly ownFilters;
  private readonly prefix: string;
  private readonly url: string;
  private readonly options: IClientOptions;

  constructor(
    target: Target,
    override readonly name: string,
  ) {
    super();
    this.address = addressOf(target);
    this.prefix = prefixOf(target.topic(isMqttTopic, MQTT_TOPIC_TAKES), '/');
    this.ownFilters = ownFilters(SLASHES, this.prefix);
    const { url, options } = mqttOptions(target);
    const clientId = target.option('client_id');
    this.url = url;
    this.options = {
      ...options,
      clientId: clientId ?? `otaflux-${randomBytes(6).toString('hex')}`,
      clean: clientId === undefined,
      reconnectPeriod: 0,
      connectTimeout: CONNECT_MS,
      // It would subscribe again by itself, and keep what it subscribed to.
      resubscribe: false,
      ...(options.protocolVersion === 5 && {
        properties: {
          // The broker drops larger messages (MQTT 5.0, section 3.1.2.11.4).
          maximumPacketSize: MAX_COLLECTED_BYTES,
          ...(clientId !== undefined && { sessionExpiryInterval: SESSION_S }),
        },
      }),
    };
  }

  override levelsOf({ topic }: EventMessage): string[] | undefined {
    return levelsBelow(this.prefix, '/', topic);
  }

  override async open(
    subscriptions: readonly Subscription[],
    take: Take,
    onLost: () => void,
    signal: AbortSignal,
  ): Promise<EventConnection> {
    const client = mqtt.connect(this.url, this.options);
    const giveUp = (): void => {
      client.end(true);
    };
    signal.addEventListener('abort', giveUp);
    receive(client, take, this.options.clean === true);
    client.on('error', () => undefined);
    try {
      await connected(client);
      await subscribe(client, subscriptions);
    } catch (error) {
      giveUp();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    client.once('close', onLost);
    if (!client.connected) onLost();
    return {
      close: () => client.endAsync(false),
      destroy: () => {
        client.end(true);
      },
    };
  }
}

/** The broker gets its confirmation when the message was handled, and sends no more in between. */
function receive(client: MqttClient, take: Take, isGuarded: boolean): void {
  const guard = isGuarded ? new SizeGuard(client.stream) : undefined;
  client.handleMessage = ({ topic, payload, retain, properties }, done) => {
    guard?.passed();
    const headers = headersOf(Object.entries(properties?.userProperties ?? {}));
    // CloudEvents, MQTT binding: attributes are user properties without a prefix, in MQTT 5 only.
    if (headers.specversion !== undefined && headers.type !== undefined) headers['ce-type'] = headers.type;
    void take({ topic, payload: Buffer.from(payload), headers, retained: retain }).then(() => {
      done();
    });
  };
}

function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('connect', () => {
      resolve();
    });
    client.once('error', reject);
    client.once('close', () => {
      reject(new Error('closed connection'));
    });
  });
}

async function subscribe(client: MqttClient, subscriptions: readonly Subscription[]): Promise<void> {
  const filters: ISubscriptionMap = {};
  for (const { filter, extras } of subscriptions) filters[filter] = { qos: extras.qos === 0 ? 0 : 1 };
  const granted = await client.subscribeAsync(filters);
  const refused = granted.find(({ qos }) => (qos as number) >= SUBACK_FAILURE);
  if (refused)
    throw new ExplainedError(`the broker refuses the subscription to ${refused.topic}. Allow the user to read it`);
}
