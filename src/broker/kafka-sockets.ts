import type { ISocketFactory, ISocketFactoryArgs } from 'kafkajs';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

/**
 * The form of an IPv6 address without colons, which is accepted in the place of a name (Microsoft, "ipv6-literal.net").
 */
const LITERAL = '.ipv6-literal.net';
const KEEP_ALIVE_MS = 60_000;
/** The largest answer to a request: kafkajs asks for 10 MiB at once, and brokers may exceed that by one record. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;
const SIZE_BYTES = 4;
/** KAFKA_REFUSALS explains it. */
const NOT_KAFKA = 'size of an answer out of range';

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
  return guarded(socket.setKeepAlive(true, KEEP_ALIVE_MS));
};

/**
 * Ends a connection to a server that does not speak Kafka. kafkajs collects answers of any size, and throws where nobody
 * can catch it if the size is negative, which ends the process.
 */
function guarded(socket: Socket): Socket {
  const frames = new Frames();
  const on = socket.on.bind(socket) as (event: string, listener: (...args: never[]) => void) => Socket;
  const guard = (listener: (chunk: Buffer) => void) => (chunk: Buffer) => {
    try {
      if (frames.accept(chunk)) listener(chunk);
      else socket.destroy(new Error(NOT_KAFKA));
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  socket.on = (event: string, listener: (...args: never[]) => void) =>
    on(event, event === 'data' ? guard(listener as (chunk: Buffer) => void) : listener);
  return socket;
}

/** Follows the sizes in front of answers (Kafka protocol, "Protocol Primitive Types" and "Requests and Responses"). */
class Frames {
  private head = Buffer.alloc(0);
  /** Bytes of the current answer that are still to come. */
  private left = 0;

  /** Returns whether the sizes in what has arrived so far are possible. */
  accept(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.left > 0) {
        const taken = Math.min(this.left, chunk.length - at);
        this.left -= taken;
        at += taken;
        continue;
      }
      const missing = SIZE_BYTES - this.head.length;
      this.head = Buffer.concat([this.head, chunk.subarray(at, at + missing)]);
      at += missing;
      if (this.head.length < SIZE_BYTES) return true;
      this.left = this.head.readInt32BE();
      this.head = Buffer.alloc(0);
      if (this.left < 0 || this.left > MAX_FRAME_BYTES) return false;
    }
    return true;
  }
}
