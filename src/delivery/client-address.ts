import ipaddr from 'ipaddr.js';
import type { IncomingMessage } from 'node:http';
import { isIP, SocketAddress } from 'node:net';
import proxyAddr from 'proxy-addr';
import { ConfigError } from '../errors.js';
import { parseForwarded, parseForwardedFor, type Entry, type ForwardedClient } from './forwarded.js';

/** Forms in which an IPv6 address contains an IPv4 address: mapped, translated (RFC 6145), behind NAT64 (RFC 6052). */
const EMBEDDED: readonly string[] = ['ipv4Mapped', 'rfc6145', 'rfc6052'];

/** The addresses of clients: the peer of a connection, or the client that a proxy of TRUST_PROXY forwards. */
export class ClientAddress {
  private readonly isTrusted: ((address: string) => boolean) | undefined;

  /** @param trusted addresses and networks, such as 10.0.0.0/8; throws ConfigError for anything else */
  constructor(trusted: readonly string[] = []) {
    if (trusted.length === 0) return;
    const trust = proxyAddr.compile(trusted.flatMap(networksIn));
    this.isTrusted = (address) => trust(address, 0);
  }

  /** Returns whether the peer of this request is a trusted proxy. */
  isProxied({ socket }: IncomingMessage): boolean {
    return this.isTrusted?.(socket.remoteAddress ?? '') ?? false;
  }

  /** Returns the address of the client: that of the peer, unless a trusted proxy forwards another one. */
  of(raw: IncomingMessage): string {
    return this.forwarded(raw)?.address ?? plain(raw.socket.remoteAddress ?? '');
  }

  /**
   * Returns the client that a trusted proxy forwards. Returns undefined if the peer is not a trusted proxy, or forwards
   * no client.
   *
   * `X-Forwarded-For` decides. `Forwarded` is used if `X-Forwarded-For` is missing, and adds the port if both contain
   * the same address: most proxies set one of the two, and pass on the other one as the client has sent it.
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
   * Returns the nearest client that is not a trusted proxy, or the farthest one if all are trusted. Each proxy adds its
   * client on the right, so an untrusted client may have made up the entries to its left.
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
 * Returns what a limit counts as one address: an IPv4 address, or an IPv6 network of 64 bits. A subscriber has at least
 * such a network (RFC 6177), and must not get several limits by changing the other bits.
 */
export function networkOf(address: string): string {
  const parsed = ipv6(address);
  if (!parsed) return address;
  if (EMBEDDED.includes(parsed.range())) return ipaddr.fromByteArray(parsed.toByteArray().slice(-4)).toString();
  const prefix = parsed.parts.slice(0, 4).map((part) => part.toString(16));
  return `${prefix.join(':')}::/64`;
}

/**
 * Returns the normal form of an address: IPv4 for `::ffff:a.b.c.d`, which a socket for both families reports, and the
 * shortest form of IPv6.
 */
function plain(address: string): string {
  const parsed = ipv6(address);
  if (!parsed) return address;
  return parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : parsed.toString();
}

/** Returns undefined if the text is not an IPv6 address. */
function ipv6(address: string): ipaddr.IPv6 | undefined {
  if (!address.includes(':') || isIP(address) !== 6) return undefined;
  // The library does not know every form that Node accepts, such as `64:ff9b::192.0.2.1`, but it knows the form that
  // Node writes.
  const written = ipaddr.IPv6.isValid(address) ? address : new SocketAddress({ address, family: 'ipv6' }).address;
  return ipaddr.IPv6.isValid(written) ? ipaddr.IPv6.parse(written) : undefined;
}

/**
 * Returns an entry of TRUST_PROXY for proxy-addr, which does not accept a network of length 0: two halves are
 * equivalent.
 */
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
