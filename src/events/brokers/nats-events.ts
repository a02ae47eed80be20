import type * as natsTransport from '@nats-io/transport-node';
import type { MsgHdrs, NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node';
import { Transport } from '@nestjs/microservices';
import { addressOf, isSubject, NATS_REFUSALS, natsOptions, SUBJECT_TAKES, type Target } from '../../broker/index.js';
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
import { ownFilters, SUBJECTS } from '../topics.js';

type Driver = Pick<typeof natsTransport, 'connect' | 'PermissionViolationError'>;

const CONNECT_MS = 10_000;

/** Returns the broker of `nats://[user:pass@]host[:port][?topic=…]`, or of the same with `tls://`. Throws ConfigError. */
export function create(target: Target, name: string, driver: Driver): EventBroker {
  target.demandKnown('hosts', 'subscribe', 'source');
  return new NatsEvents(target, name, driver);
}

/** NATS without JetStream: messages that are sent while there is no connection are lost. */
class NatsEvents extends EventBroker {
  override readonly kind = 'nats';
  override readonly transport = Transport.NATS;
  override readonly style = SUBJECTS;
  override readonly refusals = NATS_REFUSALS;
  override readonly address;
  override readonly ownFilters;
  private readonly prefix: string;
  private readonly options: NodeConnectionOptions;

  constructor(
    target: Target,
    override readonly name: string,
    private readonly driver: Driver,
  ) {
    super();
    this.address = addressOf(target);
    this.prefix = prefixOf(
      target.topic((text) => isSubject(text.replaceAll('/', '.')), SUBJECT_TAKES),
      '.',
    );
    this.ownFilters = ownFilters(SUBJECTS, this.prefix);
    this.options = { ...natsOptions(target), name: 'otaflux', reconnect: false, timeout: CONNECT_MS };
  }

  override levelsOf({ topic }: EventMessage): string[] | undefined {
    return levelsBelow(this.prefix, '.', topic);
  }

  override async open(
    subscriptions: readonly Subscription[],
    take: Take,
    onLost: () => void,
  ): Promise<EventConnection> {
    const nats = await this.driver.connect(this.options);
    const refused = this.firstRefusal(nats);
    try {
      for (const subscription of subscriptions) subscribe(nats, subscription, take);
      // The answer arrives after the server has read the subscriptions, and after its refusals.
      await Promise.race([nats.flush(), refused]);
    } catch (error) {
      void nats.close().catch(() => undefined);
      throw error;
    }
    void nats.closed().then(onLost, onLost);
    return {
      close: () => nats.drain(),
      destroy: () => {
        void nats.close().catch(() => undefined);
      },
    };
  }

  /** Rejects when the server refuses a subscription. Never resolves. */
  private firstRefusal(nats: NatsConnection): Promise<never> {
    const { PermissionViolationError } = this.driver;
    const refusal = new Promise<never>((_resolve, reject) => {
      void (async () => {
        for await (const status of nats.status())
          if (status.type === 'error' && status.error instanceof PermissionViolationError)
            reject(
              new ExplainedError(
                `the server refuses the subscription to ${status.error.subject}. Allow the user to subscribe to it`,
              ),
            );
      })();
    });
    refusal.catch(() => undefined);
    return refusal;
  }
}

function subscribe(nats: NatsConnection, { filter, extras }: Subscription, take: Take): void {
  const { queue } = extras;
  nats.subscribe(filter, {
    ...(typeof queue === 'string' && { queue }),
    callback: (error, message) => {
      if (error) return;
      const { subject, data, headers } = message;
      void take({
        topic: subject,
        payload: Buffer.from(data),
        headers: headers ? headersOf(entriesOf(headers)) : {},
        filter,
        retained: false,
      });
    },
  });
}

function* entriesOf(headers: MsgHdrs): Generator<[string, string]> {
  for (const name of headers.keys()) yield [name, headers.get(name)];
}
