import type { Redis } from 'ioredis';
import { REDIS_REFUSALS, type BrokerAddress } from '../../broker/index.js';
import { ConnectedNotifier } from '../connected-notifier.js';
import { KeptNotices } from '../kept-notices.js';
import { nameOf, payloadOf, type ReleaseNotice } from '../notifier.js';

const CONNECT_MS = 10_000;
/** Number of keys to read at once when messages are read back. */
const PAGE = 1_000;

/** Options of the client: no retries, because the outbox retries. */
export interface ClientOptions {
  readonly lazyConnect: true;
  /** It would print what it fails with. The answer to a ping says more. */
  readonly enableReadyCheck: false;
  readonly connectTimeout: number;
  readonly enableOfflineQueue: false;
  readonly maxRetriesPerRequest: 0;
  readonly retryStrategy: () => null;
}

/**
 * Sets the key `TOPIC:DEVICE` to the newest notice, and publishes it on the channel of the same name, in one
 * transaction.
 */
export class RedisNotifier extends ConnectedNotifier<Redis> {
  protected override readonly refusals = REDIS_REFUSALS;

  constructor(
    override readonly name: string,
    protected override readonly address: BrokerAddress,
    private readonly database: number,
    private readonly topic: string,
    private readonly client: (options: ClientOptions) => Redis,
  ) {
    super();
  }

  protected override async connect(onLost: () => void): Promise<Redis> {
    const redis = this.client({
      lazyConnect: true,
      enableReadyCheck: false,
      connectTimeout: CONNECT_MS,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    });
    // This event has the reason. `connect` itself only says that the connection was closed.
    let problem: Error | undefined;
    redis.on('error', (error: Error) => (problem = error));
    redis.once('end', onLost);
    try {
      await redis.connect();
      await redis.ping();
      // The library selects it, too, but says nothing if it does not exist.
      if (this.database > 0) await redis.select(this.database);
    } catch (error) {
      redis.disconnect();
      throw problem ?? error;
    }
    return redis;
  }

  protected override async send(redis: Redis, notice: ReleaseNotice): Promise<void> {
    const key = `${this.topic}:${nameOf(notice)}`;
    const payload = payloadOf(notice);
    const transaction = redis.multi();
    if (payload) transaction.set(key, payload);
    else transaction.del(key);
    const results = (await transaction.publish(key, payload).exec()) ?? [];
    for (const [error] of results) if (error) throw error;
  }

  protected override async readKept(redis: Redis, signal: AbortSignal): Promise<KeptNotices> {
    const told = new KeptNotices();
    const prefix = `${this.topic}:`;
    const pattern = `${prefix.replaceAll(/[\\*?[\]]/g, '\\$&')}*`;
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', PAGE);
      cursor = next;
      const values = keys.length > 0 ? await redis.mget(keys) : [];
      for (const [i, key] of keys.entries()) {
        const value = values[i];
        // A key of another type reads as nil.
        if (value) told.note(key.slice(prefix.length), value);
      }
    } while (cursor !== '0' && !signal.aborted);
    return told;
  }

  protected override async disconnect(redis: Redis): Promise<void> {
    await redis.quit();
  }

  protected override destroy(redis: Redis): void {
    redis.disconnect();
  }
}
