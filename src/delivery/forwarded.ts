import { isIP } from 'node:net';

/** A client according to a proxy. */
export interface ForwardedClient {
  readonly address: string;
  /** The port from which the client connects, as the proxy wrote it; undefined if the proxy does not forward it. */
  readonly port: string | undefined;
}

/** Parses one entry of a list. Returns undefined if it contains no address, such as `unknown`. */
export type Entry = ForwardedClient | undefined;

/** An IPv4 address, or an IPv6 address in brackets, with or without a port. RFC 7239 allows names instead of ports. */
const NODE = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}|_[\w.-]{1,64}))?$/;
/** The `for` parameter among the parameters of an element (RFC 7239, section 4). */
const FOR = /^[ \t]*for=(.*)$/i;

/** Parses `X-Forwarded-For`. The client comes first, the nearest proxy last. */
export function parseForwardedFor(header: string | undefined): Entry[] {
  return header?.trim() ? header.split(',').map(nodeOf) : [];
}

/**
 * Parses `Forwarded` (RFC 7239), in the same order. It does not support commas and semicolons within quotes, because
 * addresses contain none: such an element contains no address.
 */
export function parseForwarded(header: string | undefined): Entry[] {
  if (!header?.trim()) return [];
  return header.split(',').map((element) => {
    const node = element.split(';').flatMap((pair) => FOR.exec(pair)?.[1] ?? [])[0];
    return node === undefined ? undefined : nodeOf(node);
  });
}

function nodeOf(text: string): Entry {
  const node = text.trim().replace(/^"(.*)"$/, '$1');
  // An IPv6 address without brackets has no port.
  if (isIP(node)) return { address: node, port: undefined };
  const [, v6, v4, port] = NODE.exec(node) ?? [];
  if (v6 !== undefined && isIP(v6) === 6) return { address: v6, port };
  return v4 !== undefined && isIP(v4) === 4 ? { address: v4, port } : undefined;
}
