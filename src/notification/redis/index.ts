import type * as ioredis from 'ioredis';
import { addressOf } from '../broker-address.js';
import type { Notifier } from '../notifier.js';
import type { Target } from '../target.js';
import { RedisNotifier } from './redis-notifier.js';

type Driver = Pick<typeof ioredis, 'Redis'>;

const TAKES = 'a text without spaces, such as firmware:releases';

/** Returns the notifier of `redis[s]://[user:pass@]host[:port][/db][?topic=…]`. Throws ConfigError. */
export function create(target: Target, name: string, { Redis }: Driver): Notifier {
  target.demandKnown();
  const { url, username, password } = target;
  const db = Number(url.pathname.slice(1));
  if (!Number.isInteger(db) || db < 0) throw target.wrong(url.pathname, 'the number of a database, such as /2');
  const options = {
    host: url.hostname.replaceAll(/^\[|\]$/g, ''),
    port: Number(url.port || 6379),
    db,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(target.scheme === 'rediss' && { tls: { ...target.tlsFiles() } }),
  };
  const topic = target.topic((text) => !/\s/.test(text), TAKES);
  return new RedisNotifier(name, addressOf(target), db, topic, (more) => new Redis({ ...options, ...more }));
}
