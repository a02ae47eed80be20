import { Logger } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TOLD_MS, type Release } from '../firmware/index.js';
import type { ClientAddress } from './client-address.js';

/**
 * How long an offer to an address is valid if the port of the client is not forwarded: many devices may share the
 * address (NAT).
 */
const SHARED_MS = 60_000;
/** Maximum number of offers on one connection. The oldest is dropped first. */
const MAX_PER_CONNECTION = 64;
/** Maximum number of offers to clients behind trusted proxies, about 200 bytes each. The oldest is dropped first. */
const MAX_PROXIED = 50_000;
/** Characters of a header in which an untrusted peer names its client. */
const MAX_CLAIM = 64;

interface Offer {
  release: Release;
  /** On the clock of `performance.now()`. */
  atMs: number;
}

/**
 * The release that was last offered to each client, so that `/firmware` sends the version that `/version` has
 * announced, even if a newer release has appeared (CONTRACT, device rule 5). Decision 4 defines what a client is.
 */
export class OfferedReleases {
  private readonly logger = new Logger('OfferedReleases');
  private readonly connections = new WeakMap<Socket, Offers>();
  private readonly proxied = new Offers(MAX_PROXIED);
  private warned = false;

  constructor(private readonly addresses: ClientAddress) {}

  /**
   * Notes that `release` is offered to the client of `raw`.
   *
   * @param unit the unit that the request names. The offer also counts for a client that leaves it out afterwards
   */
  note(raw: IncomingMessage, release: Release, nowMs: number, unit?: string): void {
    if (!this.addresses.isProxied(raw)) {
      let offers = this.connections.get(raw.socket);
      if (!offers) this.connections.set(raw.socket, (offers = new Offers(MAX_PER_CONNECTION)));
      const key = keyOnConnection(raw, release.device);
      offers.note(key, release, nowMs);
      if (unit !== undefined) offers.note(ofUnit(key, unit), release, nowMs);
      return;
    }
    const key = this.keyBehindProxy(raw, release.device);
    if (!key) {
      this.warn(raw);
      return;
    }
    this.proxied.note(key.text, release, nowMs);
    if (unit !== undefined) this.proxied.note(ofUnit(key.text, unit), release, nowMs);
  }

  /**
   * Returns the release that the client of `raw` was last offered for `device`. Returns undefined if there was no
   * offer, or if it is too old: ten minutes, or one minute if devices behind one address cannot be told apart.
   *
   * @param sinceMs earlier offers are ignored
   * @param unit the unit that the request names: offers to other units do not count, because units may share an address
   *   or the connection of a proxy, and a plan may offer each something else
   */
  to(raw: IncomingMessage, device: string, nowMs: number, sinceMs: number, unit?: string): Release | undefined {
    const keyOf = (key: string): string => (unit === undefined ? key : ofUnit(key, unit));
    if (!this.addresses.isProxied(raw))
      return this.connections
        .get(raw.socket)
        ?.find(keyOf(keyOnConnection(raw, device)), Math.max(sinceMs, nowMs - TOLD_MS));
    const key = this.keyBehindProxy(raw, device);
    return key && this.proxied.find(keyOf(key.text), Math.max(sinceMs, nowMs - (key.isShared ? SHARED_MS : TOLD_MS)));
  }

  /** Undefined if the proxy does not identify its client, because its connections are shared by all of its clients. */
  private keyBehindProxy(raw: IncomingMessage, device: string): { text: string; isShared: boolean } | undefined {
    const client = this.addresses.forwarded(raw);
    return client && { text: `${device} ${client.address} ${client.port ?? ''}`, isShared: client.port === undefined };
  }

  private warn({ socket }: IncomingMessage): void {
    if (this.warned) return;
    this.warned = true;
    this.logger.warn({
      event: 'proxy.client_unknown',
      address: socket.remoteAddress,
      reason: `${socket.remoteAddress ?? 'a peer'} is listed in --trust-proxy, and sends no client address: set X-Forwarded-For or Forwarded there, or take the address out of --trust-proxy`,
    });
  }
}

/** Offers by key, the oldest first. */
class Offers {
  private readonly offers = new Map<string, Offer>();

  constructor(private readonly max: number) {}

  note(key: string, release: Release, nowMs: number): void {
    const known = this.offers.get(key);
    if (known) {
      known.release = release;
      known.atMs = nowMs;
      if (this.offers.size === 1) return;
      this.offers.delete(key);
      this.offers.set(key, known);
      return;
    }
    this.offers.set(key, { release, atMs: nowMs });
    this.forgetOldest(nowMs);
  }

  find(key: string, sinceMs: number): Release | undefined {
    const offer = this.offers.get(key);
    return offer && offer.atMs >= sinceMs ? offer.release : undefined;
  }

  /**
   * Drops expired offers, and those beyond the limit. With at most two in a call, each call costs the same, and expired
   * offers disappear faster than new ones arrive.
   */
  private forgetOldest(nowMs: number): void {
    for (let times = 0; times < 2; times++) {
      const [oldest] = this.offers;
      if (!oldest || (this.offers.size <= this.max && nowMs - oldest[1].atMs < TOLD_MS)) return;
      this.offers.delete(oldest[0]);
    }
  }
}

const ofUnit = (key: string, unit: string): string => `${key}\n${unit}`;

/** Headers in which a proxy names its client. */
const CLAIMS = /^(?:x-forwarded-for|x-real-ip|forwarded)$/i;

/**
 * Returns the key of the client. A device that connects directly is identified by its connection. An untrusted peer
 * that names a client is a proxy that TRUST_PROXY does not list: the name is not trusted, but it separates the clients
 * that share the connection.
 */
function keyOnConnection({ rawHeaders }: IncomingMessage, device: string): string {
  let key = device;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    // The length is checked first: this runs for every request of a device, and devices send no such header.
    if ((name.length === 15 || name.length === 9) && CLAIMS.test(name))
      key += ` ${(rawHeaders[i + 1] ?? '').slice(-MAX_CLAIM)}`;
  }
  return key;
}
