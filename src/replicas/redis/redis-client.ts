import type * as ioredis from 'ioredis';
import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { addressOf, loadDriver, redisOptions, Target, urlOf, type BrokerAddress } from '../../broker/index.js';
import { percentDecoded } from '../../percent.js';

export type RedisClient = Redis | Cluster;

/** How to connect to the Redis of REDIS_URL. */
export interface RedisPlace {
  readonly address: BrokerAddress;
  /** Names of all keys and channels begin with it. */
  readonly prefix: string;
  /** Creates a client that does not connect yet. */
  create(): RedisClient;
}

const CONNECT_MS = 5_000;
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 1_000;
const SENTINEL_PORT = 26_379;
const PORT = 6_379;
const PREFIX = /^[A-Za-z0-9:._-]{1,64}$/;

const retryMs = (times: number): number => Math.min(times * MIN_RETRY_MS, MAX_RETRY_MS);

/** What is written is repeated by those who write, because only they know whether that is safe. */
const NO_REPEATS = {
  lazyConnect: true,
  enableReadyCheck: false,
  connectTimeout: CONNECT_MS,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  retryStrategy: retryMs,
} satisfies RedisOptions;

/** Returns how to connect to the Redis of REDIS_URL. Rejects with ConfigError for a wrong option, or without the package. */
export async function redisPlace(url: string): Promise<RedisPlace> {
  const target = new Target(urlOf('REDIS_URL', url), undefined, false, 'REDIS_URL');
  target.demandKnown('hosts', 'prefix', 'sentinel-user', 'sentinel-password');
  const prefix = target.option('prefix') ?? 'otaflux';
  if (!PREFIX.test(prefix)) throw target.wrong(`prefix=${prefix}`, 'a prefix of letters, digits, :, ., _ and -');
  const driver = await loadDriver(target, 'ioredis', () => import('ioredis'));
  return { address: addressOf(target), prefix, create: creatorOf(target, driver) };
}

function creatorOf(target: Target, { Redis, Cluster }: Pick<typeof ioredis, 'Redis' | 'Cluster'>): () => RedisClient {
  const { username, password, scheme } = target;
  const tls = scheme.startsWith('rediss') ? { tls: target.tlsFiles() } : {};
  const login = { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
  if (scheme.endsWith('+sentinel')) {
    const [name = '', db = '0'] = percentDecoded(target.url.pathname.slice(1)).split('/');
    if (!name || !/^\d+$/.test(db))
      throw target.wrong(target.url.pathname || 'no name', 'the name that the sentinels monitor, such as /mymaster');
    const user = target.option('sentinel-user');
    const secret = target.option('sentinel-password');
    return () =>
      new Redis({
        ...NO_REPEATS,
        ...login,
        ...tls,
        db: Number(db),
        sentinels: hostsOf(target, SENTINEL_PORT),
        name,
        sentinelRetryStrategy: retryMs,
        ...(user !== undefined && { sentinelUsername: user }),
        ...(secret !== undefined && { sentinelPassword: secret }),
        ...(tls.tls && { enableTLSForSentinelMode: true, sentinelTLS: tls.tls }),
      });
  }
  if (scheme.endsWith('+cluster')) {
    if (target.url.pathname.length > 1) throw target.wrong(target.url.pathname, 'no path: a cluster has one database');
    return () =>
      new Cluster(hostsOf(target, PORT), {
        lazyConnect: true,
        enableReadyCheck: true,
        enableOfflineQueue: false,
        clusterRetryStrategy: retryMs,
        slotsRefreshTimeout: CONNECT_MS,
        redisOptions: { ...login, ...tls, connectTimeout: CONNECT_MS, maxRetriesPerRequest: 0 },
      });
  }
  const options = redisOptions(target);
  return () => new Redis({ ...NO_REPEATS, ...options, ...tls });
}

function hostsOf(target: Target, standard: number): { host: string; port: number }[] {
  return (target.option('hosts') ?? target.url.host).split(',').map((text) => {
    const [, host = text, port] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
    return { host: host.replaceAll(/^\[|\]$/g, ''), port: Number(port ?? standard) };
  });
}
