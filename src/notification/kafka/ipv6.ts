import type { ISocketFactory, ISocketFactoryArgs } from 'kafkajs';
import { connect, isIP } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

/** The form of an IPv6 address that has no colons and can stand where a name does (Microsoft, "ipv6-literal.net"). */
const LITERAL = '.ipv6-literal.net';
const KEEP_ALIVE_MS = 60_000;

/** `host:port` for kafkajs, which takes everything up to the first colon for the host: `[::1]:9092` becomes `--1.ipv6-literal.net:9092`. */
export function withoutColons(broker: string): string {
  const [, address, port] = /^\[([0-9A-Fa-f:.]+)\]:(\d+)$/.exec(broker) ?? [];
  return address === undefined || port === undefined ? broker : `${address.replaceAll(':', '-')}${LITERAL}:${port}`;
}

/** Its type leaves out that there is no TLS. */
type Args = Omit<ISocketFactoryArgs, 'ssl'> & { ssl?: ConnectionOptions };

/** As kafkajs connects, to the address that `withoutColons` wrote. */
export const connectTo: ISocketFactory = ({ host: name, port, ssl, onConnect }: Args) => {
  const host = name.endsWith(LITERAL) ? name.slice(0, -LITERAL.length).replaceAll('-', ':') : name;
  const socket = ssl
    ? connectTls({ host, port, ...(!isIP(host) && { servername: host }), ...ssl }, onConnect)
    : connect({ host, port }, onConnect);
  return socket.setKeepAlive(true, KEEP_ALIVE_MS);
};
