import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { firmwareBytes } from '../support/bytes.js';
import { espImage } from '../support/esp-image.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService, type TestOptions } from '../support/service.js';

const registry = new FakeRegistry();
let service: TestService;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
afterEach(async () => {
  await service.stop();
  for (const name of [...registry.names()]) registry.remove(name);
  registry.fault = () => false;
});

const start = async (options: TestOptions = {}): Promise<void> => {
  service = await TestService.start({ REGISTRY_URL: registry.url, LOG_LEVEL: 'debug', ...options });
};
const push = (
  version: string,
  annotations: Record<string, string> = {},
  bytes = firmwareBytes(2_000, version),
): unknown => registry.pushFiles('esp32', version, { 'app.bin': bytes }, { manifest: annotations });
/** The version that `/version` offers, or the status. */
const offered = async (query: string): Promise<string | number> => {
  const response = await service.version(`esp32${query}`);
  return response.ok ? ((await response.text()).split('\n')[0] ?? '') : response.status;
};
const downloaded = async (query: string, headers: Record<string, string> = {}): Promise<number> =>
  (await service.firmware(`esp32${query}`, { headers })).status;

describe('a release for certain hardware', () => {
  it.each([
    ['rev-b', 'rev-b', '1.0.0'],
    ['rev-b', 'REV-B', '1.0.0'],
    ['rev-b', 'rev-a', 404],
    ['rev-?, board-*', 'board-7', '1.0.0'],
    ['rev-?, board-*', 'rev-10', 404],
    ['rev-b', undefined, '1.0.0'],
    ['', 'rev-b', 404],
  ])('of the annotation %j is offered to %j: %s', async (globs, hardware, expected) => {
    await start();
    push('1.0.0', { 'vnd.otaflux.hardware': globs });
    const query = hardware === undefined ? '' : `&hardware=${hardware}`;
    expect(await offered(`&unit=a${query}`)).toBe(expected);
    expect(await downloaded(`&unit=a${query}`)).toBe(expected === 404 ? 404 : 200);
    expect(await downloaded(`&unit=a${query}&version=1.0.0`)).toBe(expected === 404 ? 404 : 200);
  });

  it.each([
    [{ chip: 5 }, 'ESP32-C3', '1.0.0'],
    [{ chip: 5 }, 'esp32c3', '1.0.0'],
    [{ chip: 5 }, 'esp32_c3', '1.0.0'],
    [{ chip: 5 }, 'ESP32', 404],
    [{ chip: 5 }, 'esp32-s3', 404],
    [{ chip: 5 }, 'ESP8266', 404],
    [{ chip: 0 }, 'esp32', '1.0.0'],
    [{ chip: 0 }, 'esp32-c3', 404],
    [{ chip: 5 }, 'rev-b', '1.0.0'],
    [{ chip: 5 }, 'esp-eye', '1.0.0'],
    [{ chip: 5, minRevision: 3 }, 'esp32-c3 v0.3', '1.0.0'],
    [{ chip: 5, minRevision: 3 }, 'esp32-c3 v0.2', 404],
    [{ chip: 5, minRevision: 101 }, 'ESP32-C3 (QFN32) (revision v1.1)', '1.0.0'],
    [{ chip: 5, minRevision: 0, maxRevision: 99 }, 'esp32-c3 v1.0', 404],
    [{ chip: 5, minRevision: 3 }, 'esp32-c3', '1.0.0'],
    [{ chip: 0, minRevision: 300 }, 'ESP32 v3.1', '1.0.0'],
    [{ chip: 0, minRevision: 300 }, 'ESP32 v1.0', 404],
    [{ chip: 0 }, 'esp32-v3', '1.0.0'],
    [{ chip: 0 }, 'ESP32-D0WDQ6', '1.0.0'],
    [{ chip: 5 }, 'ESP32-C3FN4', '1.0.0'],
    [{ chip: 0 }, 'ESP32-C3FN4', 404],
    [{ chip: 2 }, 'ESP32-S2FH16', '1.0.0'],
    [{ chip: 0 }, 'ESP32-C61', 404],
    [{ chip: 13 }, 'ESP32-C61', 404],
  ])('by the header of the image, %j, is offered to %j: %s', async (build, hardware, expected) => {
    await start();
    push('1.0.0', {}, espImage(build));
    expect(await offered(`&unit=a&hardware=${encodeURIComponent(hardware)}`)).toBe(expected);
  });

  it('is told as an event and a metric, and by nothing to Arduino', async () => {
    await start();
    push('1.0.0', {}, espImage({ chip: 5 }));
    await offered('&unit=a&hardware=esp32-s3');
    expect(service.events('unit.withheld')).toMatchObject([
      { unit: 'a', version: '1.0.0', message: '1.0.0 is an image for ESP32-C3, but the unit says esp32-s3' },
    ]);
    expect(await service.metrics()).toContain('otaflux_offers_withheld_total{protocol="native",reason="hardware"} 1');
    const headers = { 'user-agent': 'ESP8266-http-Update', 'x-esp8266-sta-mac': 'AA', 'x-esp8266-sketch-md5': 'x' };
    expect(await downloaded('', headers)).toBe(304);
    expect(await downloaded('', { ...headers, 'x-esp8266-mode': 'version' })).toBe(304);
    expect(await downloaded('', { 'user-agent': 'ESP32-http-Update', 'x-esp32-sketch-md5': 'x' })).toBe(200);
    expect(
      await downloaded('&hardware=esp32-s3', { 'user-agent': 'ESP32-http-Update', 'x-esp32-sketch-md5': 'x' }),
    ).toBe(304);
  });

  it('is withheld from a unit that has once said what it is', async () => {
    await start();
    push('1.0.0', { 'vnd.otaflux.hardware': 'rev-b' });
    const body = JSON.stringify({ running: '0.9.0', hardware: 'rev-a' });
    await service.fetch('/report?device=esp32&unit=a', { method: 'POST', body });
    expect(await offered('&unit=a')).toBe(404);
    expect(await offered('&unit=b')).toBe('1.0.0');
  });

  it('by its header is withheld from a unit that has once said what chip it has', async () => {
    await start();
    push('1.0.0', {}, espImage({ chip: 5 }));
    const body = JSON.stringify({ running: '0.9.0', hardware: 'esp32-s3' });
    await service.fetch('/report?device=esp32&unit=a', { method: 'POST', body });
    expect(await offered('&unit=a')).toBe(404);
    expect(await downloaded('&unit=a')).toBe(404);
    expect(await offered('&unit=b')).toBe('1.0.0');
    expect(await offered('')).toBe('1.0.0');
  });
});

describe('other ways to the bytes', () => {
  const arduino = { 'user-agent': 'ESP32-http-Update', 'x-esp32-sta-mac': 'AA', 'x-esp32-sketch-md5': 'x' };
  const files = { 'app.bin': espImage({ chip: 5 }), 'littlefs.bin': firmwareBytes(900, 'fs') };
  const pushFiles = (version: string, annotations: Record<string, string>): unknown =>
    registry.pushFiles('esp32', version, files, { manifest: annotations });

  it('do not get around the hardware of a release', async () => {
    await start();
    pushFiles('1.0.0', { 'vnd.otaflux.hardware': 'rev-b' });
    const littlefs = { ...arduino, 'x-esp32-mode': 'littlefs' };
    for (const version of ['', '&version=1.0.0']) {
      expect(await downloaded(`&hardware=rev-a&file=littlefs.bin${version}`)).toBe(404);
      expect(await downloaded(`&hardware=rev-b&file=littlefs.bin${version}`)).toBe(200);
      expect(await downloaded(`&hardware=rev-a${version}`, arduino)).toBe(304);
      expect(await downloaded(`&hardware=rev-b${version}`, arduino)).toBe(200);
      expect(await downloaded(`&hardware=rev-a${version}`, littlefs)).toBe(304);
      expect(await downloaded(`&hardware=rev-b${version}`, littlefs)).toBe(200);
    }
  });

  it('do not get around the chip of an image', async () => {
    await start();
    const esp32 = espImage({ chip: 0 });
    registry.pushFiles('esp32', '1.0.0', { 'app.bin': esp32, 'c3.bin': espImage({ chip: 5 }) });
    expect(await downloaded('&hardware=esp32-c3&file=c3.bin')).toBe(200);
    expect(await downloaded('&hardware=esp32&file=c3.bin')).toBe(404);
    expect(await downloaded('&hardware=esp32-c3&version=1.0.0', arduino)).toBe(304);
    expect(await downloaded('&hardware=esp32&version=1.0.0', arduino)).toBe(200);
  });

  it('do not skip a step for a unit that says what it runs', async () => {
    await start();
    pushFiles('1.0.0', {});
    pushFiles('2.0.0', { 'vnd.otaflux.requires': '>=1.0.0' });
    const versionOf = async (query: string, headers: Record<string, string> = {}): Promise<unknown> => {
      const response = await service.firmware(`esp32${query}`, { headers });
      await response.arrayBuffer();
      return response.ok ? response.headers.get('x-version') : response.status;
    };
    expect(await downloaded('&running=0.9.0&version=2.0.0')).toBe(404);
    expect(await downloaded('&running=0.9.0&version=2.0.0&file=littlefs.bin')).toBe(404);
    expect(await downloaded('&running=1.0.0&version=2.0.0')).toBe(200);
    // Somebody who asks for a version by its name, and says nothing, is not a device.
    expect(await downloaded('&version=2.0.0')).toBe(200);
    const runs = (version: string): Record<string, string> => ({ ...arduino, 'x-esp32-version': version });
    expect(await versionOf('&version=2.0.0', runs('0.9.0'))).toBe(304);
    expect(await versionOf('', runs('0.9.0'))).toBe('1.0.0');
    expect(await versionOf('', { ...runs('0.9.0'), 'x-esp32-mode': 'littlefs' })).toBe('1.0.0');
    expect(await versionOf('', { ...runs('0.9.0'), 'x-esp32-mode': 'version' })).toBe('1.0.0');
    expect(await versionOf('', runs('1.0.0'))).toBe('2.0.0');
  });

  it('read the version of Tasmota, which has the name of its build behind it', async () => {
    await start();
    push('1.0.0');
    push('1.5.0');
    push('2.0.0', { 'vnd.otaflux.requires': '>=1.6.0' });
    const tasmota = { ...arduino, 'x-esp32-version': '1.6.0(tasmota32)' };
    const response = await service.firmware('esp32', { headers: tasmota });
    expect(response.headers.get('x-version')).toBe('2.0.0');
  });
});

describe('a search for a step', () => {
  it('downloads only the firmware of the step', async () => {
    await start();
    push('1.0.0');
    for (let i = 0; i < 40; i++) push(`2.0.${i}`, { 'vnd.otaflux.requires': '>=1.4.0' });
    registry.seen.length = 0;
    expect(await offered('&unit=a&running=0.9.0')).toBe('1.0.0');
    expect(registry.count('blob')).toBe(2);
    registry.seen.length = 0;
    for (let i = 0; i < 20; i++) await offered(`&unit=u${i}&running=0.${i}.0`);
    expect(registry.asked).toEqual([]);
  });

  it('is not delayed by a pattern that is slow to match', async () => {
    await start();
    push('1.0.0', { 'vnd.otaflux.hardware': '+(a|aa)+(a|aa)b, *a*a*a*a*a*a*a*a*a*a*a*a*b' });
    const begin = process.cpuUsage().user;
    expect(await offered(`&unit=a&hardware=${'a'.repeat(120)}c`)).toBe(404);
    expect(process.cpuUsage().user - begin).toBeLessThan(5_000_000);
  });
});

describe('a release that requires a version', () => {
  it.each([
    ['1.4.0', '2.0.0'],
    ['v1.4.0', '2.0.0'],
    ['1.9.0-rc.1', '2.0.0'],
    ['1.2.0', '1.4.0'],
    ['1.0.0', '1.2.0'],
    ['0.9.0', '1.0.0'],
    ['1.3.9', '1.4.0'],
    ['2.0.0', '2.0.0'],
    ['2.1.0', '2.0.0'],
    ['nonsense', '1.0.0'],
    [undefined, '1.0.0'],
  ])('is offered to a unit that runs %s by steps: %s', async (running, expected) => {
    await start();
    push('1.0.0');
    push('1.2.0', { 'vnd.otaflux.requires': '>=1.0.0' });
    push('1.4.0', { 'vnd.otaflux.requires': '>=1.2.0 <2' });
    push('2.0.0', { 'vnd.otaflux.requires': '>=1.4.0' });
    const query = running === undefined ? '' : `&running=${running}`;
    expect(await offered(`&unit=a${query}`)).toBe(expected);
    const wanted = await service.firmware(`esp32&unit=a${query}`);
    expect(Buffer.from(await wanted.arrayBuffer()).equals(firmwareBytes(2_000, expected))).toBe(true);
  });

  it('is delivered as it was offered, though the download does not say what runs', async () => {
    await start();
    push('1.0.0');
    push('1.2.0', { 'vnd.otaflux.requires': '>=1.0.0' });
    push('2.0.0', { 'vnd.otaflux.requires': '>=1.2.0' });
    expect(await offered('&running=1.0.0')).toBe('1.2.0');
    expect(await downloaded('&version=1.2.0')).toBe(200);
    expect(await offered('')).toBe('1.0.0');
  });

  it('warns once about units that do not say what they run', async () => {
    await start();
    push('1.0.0');
    push('2.0.0', { 'vnd.otaflux.requires': '>=1.2.0' });
    for (let i = 0; i < 3; i++) expect(await offered('')).toBe('1.0.0');
    expect(service.events('release.requires_unsaid')).toMatchObject([{ device: 'esp32', version: '2.0.0' }]);
  });

  it('is offered to nobody if its range cannot be read', async () => {
    await start();
    push('1.0.0');
    push('2.0.0', { 'vnd.otaflux.requires': 'one point two' });
    expect(await offered('&running=1.9.0')).toBe(404);
    expect(await offered('&running=0.9.0')).toBe('1.0.0');
    expect(service.events('release.bad_condition')).toHaveLength(1);
  });

  it('passes over steps that cannot be served, and fails while the registry is away', async () => {
    await start({ REGISTRY_TIMEOUT: '1s' });
    push('1.0.0');
    push('1.2.0');
    push('2.0.0', { 'vnd.otaflux.requires': '>=1.2.0' });
    registry.pushFiles('esp32', '1.1.0', {});
    expect(await offered('&running=2.0.0')).toBe('2.0.0');
    registry.fault = (_request, response, kind) => {
      if (kind !== 'tags' && kind !== 'manifest') return false;
      response.writeHead(503).end();
      return true;
    };
    expect(await offered('&running=1.0.0')).toBe(503);
    registry.fault = () => false;
    expect(await offered('&running=1.0.0')).toBe('1.2.0');
    // What was found once is found again.
    registry.fault = (request) => {
      request.socket.destroy();
      return true;
    };
    expect(await offered('&running=1.0.0')).toBe('1.2.0');
  });
});

describe('an image that says another version than its tag', () => {
  it.each([
    ['1.0.0', 0],
    ['v1.0.0', 0],
    ['1.0.1', 1],
    ['1', 1],
  ])('as %s of tag 1.0.0 is a warning: %i', async (version, warnings) => {
    await start({ REFRESH_INTERVAL: '0' });
    push('1.0.0', {}, espImage({ chip: 5, app: { version, projectName: 'blink' } }));
    expect(await offered('')).toBe('1.0.0');
    expect(await offered('')).toBe('1.0.0');
    expect(service.events('release.version_differs')).toHaveLength(warnings);
  });
});
