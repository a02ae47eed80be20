import type { ConnectionOptions } from '@nats-io/transport-node';
import type { KafkaConfig, SASLOptions } from 'kafkajs';
import type { IClientOptions } from 'mqtt';
import { isIP } from 'node:net';
import { connectTo, withoutColons } from './kafka-sockets.js';
import type { Target, TlsFiles } from './target.js';

const MQTT_VERSIONS = ['4', '5'];

/** Returns the options of `mqtt.connect`, without a client id. Throws ConfigError for a wrong version or a path. */
export function mqttOptions(target: Target): { url: string; options: IClientOptions } {
  const { username, password } = target;
  const url = new URL(target.url);
  const version = demandMqttVersion(url, (got, takes) => target.wrong(got, takes));
  url.username = url.password = url.search = '';
  return {
    url: url.href,
    options: {
      protocolVersion: version,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...target.tlsFiles(),
    },
  };
}

/** Returns the version of MQTT. Throws for one that does not exist, and for a path, which only WebSockets have. */
export function demandMqttVersion(
  { protocol, pathname, searchParams }: URL,
  wrong: (got: string, takes: string) => Error,
): 4 | 5 {
  const version = searchParams.get('version');
  if (version !== null && !MQTT_VERSIONS.includes(version))
    throw wrong(`version=${version}`, 'version=4 for MQTT 3.1.1, or version=5');
  if (protocol.startsWith('mqtt') && pathname.length > 1)
    throw wrong(`the path ${pathname}`, 'no path; the topic is an option');
  return version === '5' ? 5 : 4;
}

/** Returns servers, credentials and TLS files for the NATS client. */
export function natsOptions(target: Target): ConnectionOptions {
  const { url, username, password } = target;
  const { ca, cert, key } = target.tlsFiles();
  const tls = { ...(ca && { ca: String(ca) }), ...(cert && { cert: String(cert) }), ...(key && { key: String(key) }) };
  // If the host is an address, the library passes no name to Node, which then compares the certificate with
  // `localhost`.
  const host = url.hostname.replaceAll(/^\[|\]$/g, '');
  const address = isIP(host) ? { host } : {};
  return {
    servers: (target.option('hosts') ?? url.host).split(','),
    ...natsAccess(username, password),
    ...(target.scheme === 'tls' && { tls: { ...tls, ...address } }),
  };
}

/** A user name without a password is a token, as in the nats command. */
function natsAccess(
  username: string | undefined,
  password: string | undefined,
): Pick<ConnectionOptions, 'token' | 'user' | 'pass'> {
  if (username === undefined) return {};
  return password === undefined ? { token: username } : { user: username, pass: password };
}

/** Options of the Redis client. */
export interface RedisConnection {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: TlsFiles;
}

/** Returns host, database, credentials and TLS files for the Redis client. Throws ConfigError for another path. */
export function redisOptions(target: Target): RedisConnection {
  const { url, username, password } = target;
  const db = Number(url.pathname.slice(1));
  if (!Number.isInteger(db) || db < 0) throw target.wrong(url.pathname, 'the number of a database, such as /2');
  return {
    host: url.hostname.replaceAll(/^\[|\]$/g, ''),
    port: Number(url.port || 6379),
    db,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(target.scheme === 'rediss' && { tls: target.tlsFiles() }),
  };
}

/** Returns URL and TLS files for `amqplib.connect`. */
export function rabbitMqOptions(
  target: Target,
  own: readonly string[] = [],
): { url: string; options: Record<string, unknown> } {
  const url = new URL(target.url);
  for (const option of ['topic', 'name', 'ca', 'cert', 'key', ...own]) url.searchParams.delete(option);
  const { ca, cert, key } = target.tlsFiles();
  return { url: url.href, options: { ...(ca && { ca: [ca] }), ...(cert && { cert }), ...(key && { key }) } };
}

/** Returns brokers, credentials and TLS files for the Kafka client. Throws ConfigError for incomplete credentials. */
export function kafkaOptions(target: Target): KafkaConfig {
  const brokers = (target.option('hosts') ?? target.url.host).split(',').map(withPort);
  return {
    clientId: 'otaflux',
    brokers: brokers.map(withoutColons),
    socketFactory: connectTo,
    ...(target.scheme === 'kafkas' && { ssl: pems(target) }),
    ...saslOf(target),
  };
}

function withPort(host: string): string {
  return /:\d+$/.test(host) ? host : `${host}:9092`;
}

function pems(target: Target): NonNullable<KafkaConfig['ssl']> {
  const { ca, cert, key } = target.tlsFiles();
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

function saslOf(target: Target): { sasl: SASLOptions } | undefined {
  const { username, password } = target;
  const mechanism = target.choice('sasl', ['scram-sha-512', 'scram-sha-256', 'plain']);
  if (username === undefined && password === undefined) {
    if (target.option('sasl') === undefined) return undefined;
    throw target.wrong(`sasl=${mechanism} without a user`, `${target.scheme}://USER:PASSWORD@HOST`);
  }
  if (username === undefined || password === undefined)
    throw target.wrong(
      username === undefined ? 'a password without a user' : 'a user without a password',
      `${target.scheme}://USER:PASSWORD@HOST`,
    );
  return { sasl: { mechanism, username, password } };
}
