import { Transport } from '@nestjs/microservices';
import type * as ioredis from 'ioredis';
import type { Redis } from 'ioredis';
import type { Duplex } from 'node:stream';
import { addressOf, REDIS_REFUSALS, redisOptions, type Target } from '../../broker/index.js';
import {
  EventBroker,
  levelsBelow,
  prefixOf,
  type EventConnection,
  type Subscription,
  type Take,
} from '../event-broker.js';
import type { EventMessage } from '../event-message.js';
import { SizeGuard } from '../size-guard.js';
import { CHANNELS, ownFilters } from '../topics.js';

type Driver = Pick<typeof ioredis, 'Redis'>;

const CONNECT_MS = 10_000;
const TOPIC_TAKES = 'a text without spaces and wildcards, such as otaflux';

/** Returns the broker of `redis[s]://[user:pass@]host[:port][?topic=…]`. Throws ConfigError. */
export function create(target: Target, name: string, driver: Driver): EventBroker {
  target.demandKnown('subscribe', 'source');
  return new RedisEvents(target, name, driver);
}

/** Channels of Redis: messages that are sent while there is no connection are lost. */
class RedisEvents extends EventBroker {
  override readonly kind = 'redis';
  override readonly transport = Transport.REDIS;
  override readonly style = CHANNELS;
  override readonly refusals = REDIS_REFUSALS;
  override readonly address;
  override readonly ownFilters;
  private readonly prefix: string;
  private readonly connect: () => Redis;

  constructor(
    target: Target,
    override readonly name: string,
    { Redis }: Driver,
  ) {
    super();
    this.address = addressOf(target);
    this.prefix = prefixOf(
      target.topic((text) => !/[\s*?[\]\\]/.test(text), TOPIC_TAKES),
      '/',
    );
    this.ownFilters = ownFilters(CHANNELS, this.prefix);
    const options = redisOptions(target);
    this.connect = () =>
      new Redis({
        ...options,
        lazyConnect: true,
        enableReadyCheck: false,
        connectTimeout: CONNECT_MS,
        enableOfflineQueue: false,
        maxRetriesPerRequest: 0,
        retryStrategy: () => null,
        autoResubscribe: false,
      });
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
    const redis = this.connect();
    // This event has the reason. `connect` itself only says that the connection was closed.
    let problem: Error | undefined;
    redis.on('error', (error: Error) => (problem = error));
    redis.once('end', onLost);
    const giveUp = (): void => {
      redis.disconnect();
    };
    signal.addEventListener('abort', giveUp);
    try {
      await redis.connect();
      const guard = new SizeGuard((redis as unknown as { stream: Duplex }).stream);
      redis.on('pmessageBuffer', (filter: Buffer | string, channel: Buffer, payload: Buffer) => {
        guard.passed();
        void take({ topic: channel.toString('utf8'), payload, headers: {}, filter: String(filter), retained: false });
      });
      await redis.psubscribe(...subscriptions.map(({ filter }) => filter));
    } catch (error) {
      giveUp();
      throw problem ?? error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    return {
      close: () => redis.quit(),
      destroy: () => {
        redis.disconnect();
      },
    };
  }
}
