import { isIP } from 'node:net';

/** A client as a proxy has seen it. */
export interface ForwardedClient {
  readonly address: string;
  /** The port that the client connects from, as the proxy wrote it; undefined when the proxy does not forward it. */
  readonly port: string | undefined;
}

/** One entry of a list; undefined for one that names no address, such as `unknown`. */
export type Entry = ForwardedClient | undefined;

/** An IPv4 address, or an IPv6 address in brackets, with or without a port. RFC 7239 allows names in place of ports. */
const NODE = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}|_[\w.-]{1,64}))?$/;
/** The `for` parameter among the others of an element (RFC 7239, section 4). */
const FOR = /^[ \t]*for=(.*)$/i;

/** Parses `X-Forwarded-For`: the client first, the proxy that is nearest to this server last. */
export function parseForwardedFor(header: string | undefined): Entry[] {
  return header?.trim() ? header.split(',').map(nodeOf) : [];
}

/**
 * Parses `Forwarded` (RFC 7239) in the same order. Commas and semicolons within quotes are not expected, because no
 * address holds any: such an element names no address.
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
