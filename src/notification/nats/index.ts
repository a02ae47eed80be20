import { isIP } from 'node:net';
import type { ConnectionOptions } from '@nats-io/transport-node';
import { addressOf } from '../broker-address.js';
import type { Notifier } from '../notifier.js';
import type { Target } from '../target.js';
import { NatsNotifier, type NatsDriver } from './nats-notifier.js';

/** The tokens of a subject (NATS, "Subject-Based Messaging"): no spaces, no wildcards, and not empty. */
const SUBJECT = /^[^\s.*>$][^\s.*>]*(?:\.[^\s.*>]+)*$/;

/**
 * Returns the notifier of `nats://[user:pass@]host[:port][?topic=…&jetstream=…]`, or of the same with `tls://`. Throws
 * ConfigError.
 */
export function create(target: Target, name: string, driver: NatsDriver): Notifier {
  target.demandKnown('jetstream', 'stream', 'hosts');
  const { url, username, password } = target;
  const topic = target.topic(
    (text) => SUBJECT.test(text.replaceAll('/', '.')),
    'a subject without spaces, * and >, such as firmware.releases',
  );
  const { ca, cert, key } = target.tlsFiles();
  const tls = { ...(ca && { ca: String(ca) }), ...(cert && { cert: String(cert) }), ...(key && { key: String(key) }) };
  // If the host is an address, the library passes no name to Node, which then compares the certificate with
  // `localhost`.
  const host = url.hostname.replaceAll(/^\[|\]$/g, '');
  const address = isIP(host) ? { host } : {};
  return new NatsNotifier(name, addressOf(target), driver, {
    subject: topic.replaceAll('/', '.'),
    stream: target.option('stream'),
    jetStream: target.choice('jetstream', ['auto', 'true', 'false']),
    memory: target.fingerprint,
    connection: {
      servers: (target.option('hosts') ?? url.host).split(','),
      ...accessOf(username, password),
      ...(target.scheme === 'tls' && { tls: { ...tls, ...address } }),
    },
  });
}

/** A user name without a password is a token, as in the nats command. */
function accessOf(
  username: string | undefined,
  password: string | undefined,
): Pick<ConnectionOptions, 'token' | 'user' | 'pass'> {
  if (username === undefined) return {};
  return password === undefined ? { token: username } : { user: username, pass: password };
}
