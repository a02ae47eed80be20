import ipaddr from 'ipaddr.js';
import type { IncomingMessage } from 'node:http';
import { isIP, SocketAddress } from 'node:net';
import proxyAddr from 'proxy-addr';
import { ConfigError } from '../errors.js';
import { parseForwarded, parseForwardedFor, type Entry, type ForwardedClient } from './forwarded.js';

/** IPv4 addresses that are written as IPv6 ones: mapped, translated (RFC 6145), behind NAT64 (RFC 6052). */
const EMBEDDED: readonly string[] = ['ipv4Mapped', 'rfc6145', 'rfc6052'];

/** The addresses of clients: the peer of a connection, or the client that the proxies of TRUST_PROXY forward. */
export class ClientAddress {
  private readonly isTrusted: ((address: string) => boolean) | undefined;

  /** @param trusted addresses and networks, such as 10.0.0.0/8; throws ConfigError for anything else */
  constructor(trusted: readonly string[] = []) {
    if (trusted.length === 0) return;
    const trust = proxyAddr.compile(trusted.flatMap(networksIn));
    this.isTrusted = (address) => trust(address, 0);
  }

  /** Whether the peer of this request is a trusted proxy. */
  isProxied({ socket }: IncomingMessage): boolean {
    return this.isTrusted?.(socket.remoteAddress ?? '') ?? false;
  }

  /** Returns the address of the client; that of the peer when no trusted proxy forwards one. */
  of(raw: IncomingMessage): string {
    return this.forwarded(raw)?.address ?? plain(raw.socket.remoteAddress ?? '');
  }

  /**
   * Returns the client that a trusted proxy forwards; undefined when the peer is no trusted proxy, or forwards none.
   *
   * `X-Forwarded-For` decides. `Forwarded` is used when the former is missing, and adds the port when both name the same
   * address: most proxies pass on the one of the two that they do not set as the client has sent it.
   */
  forwarded(raw: IncomingMessage): ForwardedClient | undefined {
    if (!this.isProxied(raw)) return undefined;
    const { 'x-forwarded-for': list, forwarded } = raw.headers;
    const entries = parseForwardedFor(typeof list === 'string' ? list : undefined);
    if (entries.length === 0) return this.nearest(parseForwarded(forwarded));
    const client = this.nearest(entries);
    if (!client || client.port !== undefined || forwarded === undefined) return client;
    const same = this.nearest(parseForwarded(forwarded));
    return same?.address === client.address ? same : client;
  }

  /**
   * Returns the nearest client that is no trusted proxy, or the farthest one when all are trusted. Each proxy adds on the
   * right the client that it got the request from, so entries on the left of a stranger are the word of that stranger.
   */
  private nearest(entries: readonly Entry[]): ForwardedClient | undefined {
    let client: ForwardedClient | undefined;
    for (const entry of entries.toReversed()) {
      if (!entry) return undefined;
      client = { address: plain(entry.address), port: entry.port };
      if (!this.isTrusted?.(client.address)) return client;
    }
    return client;
  }
}

/**
 * What a limit counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is the least that a
 * subscriber gets (RFC 6177), so that nobody has more than one by changing the rest.
 */
export function networkOf(address: string): string {
  const parsed = ipv6(address);
  if (!parsed) return address;
  if (EMBEDDED.includes(parsed.range())) return ipaddr.fromByteArray(parsed.toByteArray().slice(-4)).toString();
  const prefix = parsed.parts.slice(0, 4).map((part) => part.toString(16));
  return `${prefix.join(':')}::/64`;
}

/** An IPv4 address that a socket for both families shows as `::ffff:a.b.c.d` is written as IPv4, IPv6 in its shortest form. */
function plain(address: string): string {
  const parsed = ipv6(address);
  if (!parsed) return address;
  return parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : parsed.toString();
}

/** Undefined for what is no IPv6 address. */
function ipv6(address: string): ipaddr.IPv6 | undefined {
  if (!address.includes(':') || isIP(address) !== 6) return undefined;
  // The library does not know every form that Node does, such as `64:ff9b::192.0.2.1`, but the one that Node writes.
  const written = ipaddr.IPv6.isValid(address) ? address : new SocketAddress({ address, family: 'ipv6' }).address;
  return ipaddr.IPv6.isValid(written) ? ipaddr.IPv6.parse(written) : undefined;
}

/** An entry of TRUST_PROXY as proxy-addr takes it: that has no network of length 0, but two halves are the same. */
function networksIn(entry: string): string[] {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const family = isIP(address);
  const max = family === 6 ? 128 : 32;
  if (!family || Number(bits ?? max) > max)
    throw new ConfigError(
      `--trust-proxy: got ${JSON.stringify(entry)}, expected addresses and networks such as 10.0.0.0/8`,
    );
  if (bits === undefined || Number(bits) > 0) return [entry];
  return family === 6 ? ['::/1', '8000::/1'] : ['0.0.0.0/1', '128.0.0.0/1'];
}
