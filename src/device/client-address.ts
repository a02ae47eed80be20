import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { ConfigError } from '../errors.js';

/** What an IPv4 address looks like on a socket that speaks both (RFC 4291, section 2.5.5.2). */
const MAPPED = '::ffff:';

/** Where requests come from: the peer, or what the proxies of TRUST_PROXY say of those that they pass on. */
export class ClientAddress {
  private readonly proxies: BlockList | undefined;

  /** @param trusted addresses and networks, such as 10.0.0.0/8; throws ConfigError for anything else */
  constructor(trusted: readonly string[] = []) {
    if (trusted.length === 0) return;
    this.proxies = new BlockList();
    for (const entry of trusted) {
      const [address = '', bits] = entry.split('/');
      const family = isIP(address);
      const max = family === 6 ? 128 : 32;
      const length = bits === undefined ? max : Number(bits);
      if (!family || !Number.isInteger(length) || length < 0 || length > max)
        throw new ConfigError(
          `--trust-proxy: got ${JSON.stringify(entry)}, takes addresses and networks such as 10.0.0.0/8`,
        );
      this.proxies.addSubnet(address, length, family === 6 ? 'ipv6' : 'ipv4');
    }
  }

  /** Whether the peer of this request is a trusted proxy. */
  isProxied({ socket }: IncomingMessage): boolean {
    return this.isTrusted(plain(socket.remoteAddress ?? ''));
  }

  /** The nearest address that is no trusted proxy. */
  of({ socket, headers }: IncomingMessage): string {
    const peer = plain(socket.remoteAddress ?? '');
    if (!this.proxies || !this.isTrusted(peer)) return peer;
    const forwarded = headers['x-forwarded-for'];
    // Each proxy adds on the right whom it got the request from; what stands left of a stranger is the stranger's word.
    const chain = (typeof forwarded === 'string' ? forwarded : '').split(',').map((address) => plain(address.trim()));
    for (const address of chain.reverse()) {
      if (!isIP(address)) return peer;
      if (!this.isTrusted(address)) return address;
    }
    return peer;
  }

  private isTrusted(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && (this.proxies?.check(address, family === 6 ? 'ipv6' : 'ipv4') ?? false);
  }
}

function plain(address: string): string {
  return address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address;
}
