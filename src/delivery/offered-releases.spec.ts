import { describe, expect, it } from '@jest/globals';
import type { IncomingMessage } from 'node:http';
import type { Release } from '../firmware/index.js';
import { ClientAddress } from './client-address.js';
import { OfferedReleases } from './offered-releases.js';

const MINUTE = 60_000;
const release = (version: string, device = 'esp32'): Release => ({ device, version }) as Release;
const connection = (remoteAddress = '203.0.113.9'): object => ({ remoteAddress });
const request = (socket: object, headers: Record<string, string> = {}): IncomingMessage =>
  ({ socket, headers, rawHeaders: Object.entries(headers).flat() }) as unknown as IncomingMessage;
const proxied = (client: string, socket = connection('10.0.0.1')): IncomingMessage =>
  request(socket, { 'x-forwarded-for': client });

describe('an offer', () => {
  const offered = (): OfferedReleases => new OfferedReleases(new ClientAddress(['10.0.0.1']));

  it.each([
    ['a connection', request(connection()), 10 * MINUTE],
    ['an address and port behind a proxy', proxied('1.1.1.1:4711'), 10 * MINUTE],
    ['an address behind a proxy, which many may share', proxied('1.1.1.1'), MINUTE],
  ])('to %s counts for so long, and a repeated one anew', (_name, client, windowMs) => {
    const offers = offered();
    offers.note(client, release('1.0.0'), 1000);
    expect(offers.to(client, 'esp32', 1000 + windowMs, 0)?.version).toBe('1.0.0');
    expect(offers.to(client, 'esp32', 1001 + windowMs, 0)).toBeUndefined();
    offers.note(client, release('1.0.0'), 2000);
    expect(offers.to(client, 'esp32', 2000 + windowMs, 0)?.version).toBe('1.0.0');
    expect(offers.to(client, 'esp32', 3000, 2001)).toBeUndefined();
    expect(offers.to(client, 'other', 3000, 0)).toBeUndefined();
  });

  it('to a client behind a proxy holds on every connection of the proxy, and on any proxy', () => {
    const offers = new OfferedReleases(new ClientAddress(['10.0.0.1', '10.0.0.2']));
    offers.note(proxied('1.1.1.1:4711'), release('1.0.0'), 0);
    expect(offers.to(proxied('1.1.1.1:4711', connection('10.0.0.2')), 'esp32', 1, 0)?.version).toBe('1.0.0');
    expect(offers.to(proxied('1.1.1.1:4712'), 'esp32', 1, 0)).toBeUndefined();
    expect(offers.to(proxied('1.1.1.2:4711'), 'esp32', 1, 0)).toBeUndefined();
  });

  it('by a proxy that names no client is none, also on one connection', () => {
    const offers = offered();
    const socket = connection('10.0.0.1');
    offers.note(request(socket), release('1.0.0'), 0);
    expect(offers.to(request(socket), 'esp32', 1, 0)).toBeUndefined();
  });

  it('by a peer that is not trusted is for the client that it names, and on that connection only', () => {
    const offers = offered();
    const socket = connection();
    for (const header of ['X-Forwarded-For', 'Forwarded', 'X-Real-IP']) {
      offers.note(request(socket, { [header]: '1.1.1.1' }), release('1.0.0'), 0);
      expect(offers.to(request(socket, { [header]: '1.1.1.1' }), 'esp32', 1, 0)?.version).toBe('1.0.0');
      expect(offers.to(request(socket, { [header]: '1.1.1.2' }), 'esp32', 1, 0)).toBeUndefined();
      expect(offers.to(request(socket), 'esp32', 1, 0)).toBeUndefined();
      expect(offers.to(request(connection(), { [header]: '1.1.1.1' }), 'esp32', 1, 0)).toBeUndefined();
    }
  });

  it('is forgotten, the oldest first, beyond 64 on a connection and 50,000 behind proxies', () => {
    const offers = offered();
    const socket = connection();
    for (let i = 0; i < 65; i++) offers.note(request(socket), release('1.0.0', `d${i}`), i);
    expect(offers.to(request(socket), 'd0', 100, 0)).toBeUndefined();
    expect(offers.to(request(socket), 'd1', 100, 0)?.version).toBe('1.0.0');
    for (let i = 0; i <= 50_000; i++) offers.note(proxied('1.1.1.1'), release('1.0.0', `d${i}`), i / 1000);
    expect(offers.to(proxied('1.1.1.1'), 'd0', 100, 0)).toBeUndefined();
    expect(offers.to(proxied('1.1.1.1'), 'd1', 100, 0)?.version).toBe('1.0.0');
  });
});
