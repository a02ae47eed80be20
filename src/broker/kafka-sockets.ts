import type { ISocketFactory, ISocketFactoryArgs } from 'kafkajs';
import { connect, isIP } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

/**
 * The form of an IPv6 address without colons, which is accepted in the place of a name (Microsoft, "ipv6-literal.net").
 */
const LITERAL = '.ipv6-literal.net';
const KEEP_ALIVE_MS = 60_000;

/**
 * Returns `host:port` for kafkajs, which takes everything before the first colon as the host: `[::1]:9092` becomes
 * `--1.ipv6-literal.net:9092`.
 */
export function withoutColons(broker: string): string {
  const [, address, port] = /^\[([0-9A-Fa-f:.]+)\]:(\d+)$/.exec(broker) ?? [];
  return address === undefined || port === undefined ? broker : `${address.replaceAll(':', '-')}${LITERAL}:${port}`;
}

/** The type of kafkajs does not include the case without TLS. */
type Args = Omit<ISocketFactoryArgs, 'ssl'> & { ssl?: ConnectionOptions };

/** Connects like kafkajs, to the address that `withoutColons` has written. */
export const connectTo: ISocketFactory = ({ host: name, port, ssl, onConnect }: Args) => {
  const host = name.endsWith(LITERAL) ? name.slice(0, -LITERAL.length).replaceAll('-', ':') : name;
  const socket = ssl
    ? connectTls({ host, port, ...(!isIP(host) && { servername: host }), ...ssl }, onConnect)
    : connect({ host, port }, onConnect);
  return socket.setKeepAlive(true, KEEP_ALIVE_MS);
};
