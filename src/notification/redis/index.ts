import type * as ioredis from 'ioredis';
import { addressOf, redisOptions, type Target } from '../../broker/index.js';
import type { Notifier } from '../notifier.js';
import { RedisNotifier } from './redis-notifier.js';

type Driver = Pick<typeof ioredis, 'Redis'>;

const TAKES = 'a text without spaces, such as firmware:releases';

/** Returns the notifier of `redis[s]://[user:pass@]host[:port][/db][?topic=…]`. Throws ConfigError. */
export function create(target: Target, name: string, { Redis }: Driver): Notifier {
  target.demandKnown();
  const options = redisOptions(target);
  const topic = target.topic((text) => !/\s/.test(text), TAKES);
  return new RedisNotifier(name, addressOf(target), options.db, topic, (more) => new Redis({ ...options, ...more }));
}
