import { describe, expect, it } from '@jest/globals';
import type { IncomingMessage } from 'node:http';
import { ConfigError } from '../errors.js';
import { ClientAddress, networkOf } from './client-address.js';

const request = (remoteAddress: string | undefined, list?: string, forwarded?: string): IncomingMessage =>
  ({ socket: { remoteAddress }, headers: { 'x-forwarded-for': list, forwarded } }) as unknown as IncomingMessage;

describe('the address of a client', () => {
  const addresses = new ClientAddress(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1']);

  it.each([
    // The peer, when it is no proxy, whatever it says.
    ['203.0.113.9', '1.1.1.1', '203.0.113.9'],
    ['::ffff:203.0.113.9', '1.1.1.1', '203.0.113.9'],
    ['::ffff:cb00:7109', undefined, '203.0.113.9'],
    // The nearest that is no proxy.
    ['10.0.0.1', '1.1.1.1', '1.1.1.1'],
    ['::ffff:10.0.0.1', '1.1.1.1', '1.1.1.1'],
    ['10.0.0.1', '9.9.9.9, 1.1.1.1, 10.1.2.3', '1.1.1.1'],
    ['10.0.0.1', '9.9.9.9, 1.1.1.1, ::ffff:10.1.2.3, 192.0.2.7,2001:db8::5', '1.1.1.1'],
    ['::1', '2001:DB9:0:0:0:0:0:1', '2001:db9::1'],
    ['10.0.0.1', '::ffff:1.1.1.1', '1.1.1.1'],
    ['10.0.0.1', '1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['10.0.0.1', '1.1.1.1, 2001:db8::10.0.0.1', '1.1.1.1'],
    ['10.0.0.1', '1.1.1.1, fe80::1%eth0', 'fe80::1%eth0'],
    // The farthest when all are proxies, as nginx and Express have it; the peer when it forwards none.
    ['10.0.0.1', '10.0.0.2, 10.0.0.3', '10.0.0.2'],
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['10.0.0.1', '', '10.0.0.1'],
    // Malformed, where it matters.
    ['10.0.0.1', 'nonsense', '10.0.0.1'],
    ['10.0.0.1', '1.1.1.1, nonsense', '10.0.0.1'],
    ['10.0.0.1', 'nonsense, 1.1.1.1', '1.1.1.1'],
    ['10.0.0.1', '1.1.1.1,', '10.0.0.1'],
    ['10.0.0.1', '1.1.1.1:443443', '10.0.0.1'],
    ['10.0.0.1', '1.1.1.1:', '10.0.0.1'],
    ['10.0.0.1', '[1.1.1.1]:443', '10.0.0.1'],
    ['10.0.0.1', '10.0.0.2, unknown, 10.0.0.3', '10.0.0.1'],
    // With a port, as Azure Application Gateway and AWS ALB can write it.
    ['10.0.0.1', '9.9.9.9, 1.1.1.1:443', '1.1.1.1'],
    ['10.0.0.1', '[2001:db9::1]:443, 10.0.0.2:80', '2001:db9::1'],
    ['10.0.0.1', '[2001:db9::1]', '2001:db9::1'],
    ['10.0.0.1', '0x7f.1', '10.0.0.1'],
    ['10.0.0.1', '10', '10.0.0.1'],
    ['10.0.0.1', '010.0.0.5', '10.0.0.1'],
    [undefined, '1.1.1.1', ''],
  ])('of %s with %j is %s', (peer, forwarded, expected) => {
    expect(addresses.of(request(peer, forwarded))).toBe(expected);
  });

  it('is the peer where no proxy is trusted', () => {
    expect(new ClientAddress().of(request('10.0.0.1', '1.1.1.1'))).toBe('10.0.0.1');
    expect(new ClientAddress().isProxied(request('10.0.0.1'))).toBe(false);
  });

  it.each([
    ['1.1.1.1', undefined, '1.1.1.1', undefined],
    ['1.1.1.1:4711', undefined, '1.1.1.1', '4711'],
    [undefined, 'for=1.1.1.1', '1.1.1.1', undefined],
    [undefined, 'proto=https;For="1.1.1.1:4711";by=10.0.0.1', '1.1.1.1', '4711'],
    [undefined, 'for="[2001:db9::1]:4711", for=10.0.0.2;proto=http', '2001:db9::1', '4711'],
    [undefined, 'for="9.9.9.9:1",for="1.1.1.1:_port-7"', '1.1.1.1', '_port-7'],
    ['', 'for=1.1.1.1', '1.1.1.1', undefined],
    // Forwarded adds the port when both name the same address; else X-Forwarded-For decides.
    ['1.1.1.1', 'for="1.1.1.1:4711"', '1.1.1.1', '4711'],
    ['1.1.1.1:1', 'for="1.1.1.1:4711"', '1.1.1.1', '1'],
    ['1.1.1.1', 'for="9.9.9.9:4711"', '1.1.1.1', undefined],
    ['1.1.1.1', 'nonsense', '1.1.1.1', undefined],
    ['nonsense', 'for=1.1.1.1', undefined, undefined],
    // No address.
    [undefined, undefined, undefined, undefined],
    [undefined, 'for=unknown', undefined, undefined],
    [undefined, 'for=_hidden', undefined, undefined],
    [undefined, 'for=1.1.1.1, proto=https', undefined, undefined],
    [undefined, 'for=1.1.1.1, for="', undefined, undefined],
    [undefined, 'for=1.1.1.1;note="a, b"', undefined, undefined],
  ])('with X-Forwarded-For %j and Forwarded %j, is forwarded as %s port %s', (list, forwarded, address, port) => {
    const client = addresses.forwarded(request('10.0.0.1', list, forwarded));
    expect(client).toEqual(address === undefined ? undefined : { address, port });
    expect(addresses.forwarded(request('203.0.113.9', list, forwarded))).toBeUndefined();
  });

  it.each([
    ['10.9.9.9', true],
    ['::ffff:10.9.9.9', true],
    ['::ffff:0a09:0909', true],
    ['192.0.2.7', true],
    ['192.0.2.8', false],
    ['2001:db8:ffff::1', true],
    ['2001:db9::1', false],
    [undefined, false],
  ])('%s is a proxy: %s', (peer, expected) => {
    expect(addresses.isProxied(request(peer))).toBe(expected);
  });

  it('may be told by any proxy at all', () => {
    const any = new ClientAddress(['0.0.0.0/0', '::/0']);
    for (const peer of ['1.2.3.4', '200.1.1.1', '::1', 'fe80::1%eth0', 'ff02::1'])
      expect(any.isProxied(request(peer))).toBe(true);
    expect(any.of(request('10.0.0.1', '1.1.1.1, 2.2.2.2'))).toBe('1.1.1.1');
  });

  it.each([
    '10.0.0.0/40',
    '10.0.0.0/',
    '10.0.0.0/8/9',
    '10.0.0.0/-1',
    '10.0.0.0/8.5',
    'loopback',
    '10',
    'x',
    '::/129',
    '',
  ])('cannot be told by %j', (entry) => {
    expect(() => new ClientAddress([entry])).toThrow(ConfigError);
    expect(() => new ClientAddress([entry])).toThrow('expected addresses and networks such as 10.0.0.0/8');
  });
});

describe('the network that a limit counts', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    // IPv4 in IPv6: mapped, translated (RFC 6145), and behind NAT64 (RFC 6052), where one /64 is all of IPv4.
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::ffff:cb00:7109', '203.0.113.9'],
    ['::ffff:0:203.0.113.9', '203.0.113.9'],
    ['64:ff9b::203.0.113.9', '203.0.113.9'],
    ['', ''],
    ['nonsense', 'nonsense'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
