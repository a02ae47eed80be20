import { describe, expect, it } from '@jest/globals';
import type { IncomingMessage } from 'node:http';
import { FakeClock } from '../../test/support/fake-clock.js';
import { parseSettings } from '../config/index.js';
import { SignedUrls } from '../device/access/signed-urls.js';
import type { DeviceRequest } from './device-request.js';
import { Links } from './links.js';

const HOUR = 3_600_000;
const unit = { product: 'esp32', unit: 'a' };
const settings = (values: Record<string, string> = {}): ReturnType<typeof parseSettings> =>
  parseSettings(
    Object.fromEntries(
      Object.entries({ REGISTRY_URL: 'oci:.', ...values }).map(([name, value]) => [name, { value, where: 'test' }]),
    ),
  );
const requestOf = (link: string): DeviceRequest => {
  const [path = '', query = ''] = link.split('?');
  return { path, query } as DeviceRequest;
};

describe('a link that is signed', () => {
  const clock = new FakeClock();

  it('is valid for a day, and for its path, product and unit only', () => {
    const links = new Links(settings(), clock);
    expect(links.signed('/a.bin', unit)).toBe('/a.bin');
    links.sign();
    const signed = new SignedUrls(links.secrets, clock);
    const link = links.signed('/a.bin?x=1', unit);
    const other = (path: string): DeviceRequest => requestOf(link.replace('/a.bin', path));
    expect(signed.accessOf(requestOf(link), unit)).toBe('allowed');
    expect(signed.accessOf(other('/b.bin'), unit)).toBe('other');
    expect(signed.accessOf(requestOf(link), { product: 'esp32', unit: 'b' })).toBe('other');
    expect(signed.accessOf(requestOf(link), { product: 'esp8266', unit: 'a' })).toBe('other');
    clock.advance(24 * HOUR - 1_000);
    expect(signed.accessOf(requestOf(link), unit)).toBe('allowed');
    clock.advance(HOUR + 1_000);
    expect(signed.accessOf(requestOf(link), unit)).toBe('other');
  });

  it('is the same within an hour, and survives a restart if the secret is set', () => {
    const links = (secret?: string): Links => {
      const made = new Links(settings(secret === undefined ? {} : { DEVICE_URL_SECRET: secret }), clock);
      made.sign();
      return made;
    };
    const first = links('a-secret-of-16-chars');
    expect(links('a-secret-of-16-chars').signed('/a.bin', unit)).toBe(first.signed('/a.bin', unit));
    expect(links().signed('/a.bin', unit)).not.toBe(links().signed('/a.bin', unit));
  });
});

describe('an absolute link', () => {
  const raw = (headers: Record<string, string>, remoteAddress = '203.0.113.9'): { raw: IncomingMessage } => ({
    raw: { headers, socket: { remoteAddress, localAddress: '::ffff:192.0.2.1', localPort: 8080 } } as never,
  });

  it.each([
    ['the host that the client names', {}, raw({ host: 'ota.example.com:8080' }), 'http://ota.example.com:8080/x'],
    ['the address, without a host', {}, raw({}), 'http://192.0.2.1:8080/x'],
    ['the address, if the host is none', {}, raw({ host: 'a"onload=' }), 'http://192.0.2.1:8080/x'],
    ['PUBLIC_URL', { PUBLIC_URL: 'https://o.example/ota/' }, raw({ host: 'b' }), 'https://o.example/ota/x'],
    [
      'what a trusted proxy forwards',
      { TRUST_PROXY: '10.0.0.1' },
      raw({ host: 'in', 'x-forwarded-host': 'forged, out.example', 'x-forwarded-proto': 'https' }, '10.0.0.1'),
      'https://out.example/x',
    ],
    [
      'nothing of what a stranger forwards',
      { TRUST_PROXY: '10.0.0.1' },
      raw({ host: 'in', 'x-forwarded-host': 'evil', 'x-forwarded-proto': 'https' }),
      'http://in/x',
    ],
  ])('begins with %s', (_what, values, request, expected) => {
    expect(new Links(settings(values), new FakeClock()).absolute(request, '/x')).toBe(expected);
  });
});
