import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import { firmwareBytes } from '../support/bytes.js';
import { update, type Board, type Mode, type Outcome } from '../support/clients/arduino.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';

/** An image with the first byte of an ESP image. */
function espImage(sizeBytes: number, seed: string): Buffer {
  const image = Buffer.from(firmwareBytes(sizeBytes, seed));
  image[0] = 0xe9;
  return image;
}

const first = espImage(50_000, 'first');
const second = espImage(60_000, 'second');
const fileSystem = firmwareBytes(70_000, 'littlefs');
const factory = espImage(40_000, 'factory');

describe.each([
  ['esp32', '/firmware?device=sensor'],
  ['esp32', '/firmware/sensor.bin'],
  ['esp8266', '/firmware?device=sensor'],
  ['esp8266', '/firmware/sensor.bin'],
] as const)('the update library of the Arduino core for %s, at %s', (chip, target) => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.fault = () => false;
    registry.push('sensor', '1.0.0', first);
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('sensor');
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', ...options });
  };
  const call = (board: Omit<Board, 'chip'>, options?: { mode?: Mode; cutAfter?: number }): Promise<Outcome> =>
    update(service.port, target, { chip, ...board }, options);
  const offered = (version: string): Promise<void> =>
    until(async () => (await service.versionOf('sensor')) === version, `version ${version}`);

  it('lives through a life: unknown, installed, up to date, updated, cut, resumed, rolled back, registry away, failed, wrong hardware', async () => {
    registry.remove('sensor');
    await start({ WEBHOOK_SECRET: 'a-secret-of-16-characters' });
    expect(await call({ sketch: factory })).toEqual({ result: '-102 file not found' });
    registry.push('sensor', '1.0.0', first);
    const token = '?token=a-secret-of-16-characters';
    await service.api.post(`/webhooks/generic${token}`).send({ repository: 'sensor' }).expect(200);
    await offered('1.0.0');
    expect(await call({ sketch: factory })).toEqual({ result: 'OK', flashed: first, available: '1.0.0' });
    expect(await call({ sketch: first })).toEqual({ result: 'NO_UPDATES', available: '1.0.0' });
    registry.push('sensor', '1.1.0', second);
    await offered('1.1.0');
    expect(await call({ sketch: first }, { cutAfter: 20_000 })).toEqual({ result: 'stream timeout' });
    expect(await call({ sketch: first })).toEqual({ result: 'OK', flashed: second, available: '1.1.0' });
    expect(await call({ sketch: second })).toMatchObject({ result: 'NO_UPDATES' });
    registry.repository('sensor').tags.delete('1.1.0');
    await offered('1.0.0');
    expect(await call({ sketch: second })).toEqual({ result: 'OK', flashed: first, available: '1.0.0' });
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    expect(await call({ sketch: first })).toMatchObject({ result: 'NO_UPDATES' });
    expect(await call({ sketch: second })).toMatchObject({ result: 'OK', flashed: first });
    registry.fault = () => false;
    // An image that the library refuses, until a good one is pushed.
    registry.push('sensor', '1.2.0', Buffer.alloc(50_000, 'no image'));
    await offered('1.2.0');
    expect(await call({ sketch: first })).toMatchObject({ result: '-106 bad magic' });
    registry.push('sensor', '1.3.0', second);
    await offered('1.3.0');
    expect(await call({ sketch: first })).toMatchObject({ result: 'OK', flashed: second });
    // A release for another board.
    registry.pushFiles('sensor', '1.4.0', { 'x.bin': first }, { manifest: { 'vnd.otaflux.hardware': 'rev-b' } });
    await offered('1.4.0');
    const asRev = (hardware: string): Promise<Outcome> =>
      update(service.port, `${target}${target.includes('?') ? '&' : '?'}hardware=${hardware}`, {
        chip,
        sketch: second,
      });
    expect(await asRev('rev-a')).toMatchObject({ result: 'NO_UPDATES' });
    expect(await asRev('rev-b')).toMatchObject({ result: 'OK', flashed: first });
  });

  it.each([
    ['1.0.0', 'NO_UPDATES'],
    ['v1.0.0', 'NO_UPDATES'],
    ['1.0.0(tasmota32)', 'NO_UPDATES'],
    ['1.0.0+1', 'OK'],
    ['0.9.0', 'OK'],
    ['1.1.0', 'OK'],
    ['my sketch of May', 'OK'],
    ['1.0.0\t', 'NO_UPDATES'],
    ['x'.repeat(500), 'OK'],
  ])('that runs %s gets %s', async (version, result) => {
    await start();
    expect((await call({ sketch: factory, version })).result).toBe(result);
  });

  it('learns the available version without a body', async () => {
    await start();
    expect(await call({ sketch: factory }, { mode: 'version' })).toEqual({ result: 'OK', available: '1.0.0' });
  });

  it.each(['spiffs', 'littlefs', 'fatfs', 'flashfs'] as const)(
    'gets no firmware for its file system %s, of which the release has none',
    async (mode) => {
      await start();
      expect(await call({ sketch: factory }, { mode })).toMatchObject({ result: 'NO_UPDATES' });
    },
  );

  it.each([
    ['spiffs', 'spiffs.bin'],
    ['spiffs', 'littlefs.bin'],
    ['littlefs', 'littlefs.bin'],
    ['littlefs', 'littlefs'],
    ['fatfs', 'fatfs.bin'],
    ['flashfs', 'littlefs.bin'],
  ] as const)('gets for its file system %s the file %s, unless it has its version', async (mode, title) => {
    registry.pushFiles('sensor', '1.0.0', { 'app.bin': first, 'other.bin': second, [title]: fileSystem });
    await start();
    const taken = { result: 'OK', flashed: fileSystem, available: '1.0.0' };
    expect(await call({ sketch: first }, { mode })).toEqual(taken);
    expect(await call({ sketch: first, version: '0.9.0' }, { mode })).toEqual(taken);
    expect(await call({ sketch: factory, version: '1.0.0' }, { mode })).toMatchObject({ result: 'NO_UPDATES' });
    expect(await call({ sketch: factory })).toMatchObject({ result: 'OK', flashed: first });
  });

  it('gets no file system of another kind', async () => {
    registry.pushFiles('sensor', '1.0.0', { 'app.bin': first, 'fatfs.bin': fileSystem });
    await start();
    for (const mode of ['spiffs', 'littlefs', '__proto__' as 'spiffs', 'app.bin' as 'spiffs'])
      expect(await call({ sketch: factory }, { mode: mode as 'spiffs' })).toMatchObject({ result: 'NO_UPDATES' });
  });

  it('takes a gzip image, if its chip unpacks one', async () => {
    registry.push('sensor', '2.0.0', gzipSync(first));
    await start();
    const taken = chip === 'esp8266' ? { result: 'OK', flashed: gzipSync(first) } : { result: '-106 bad magic' };
    expect(await call({ sketch: factory })).toMatchObject(taken);
  });

  it('is refused where it has no token', async () => {
    await start({ DEVICE_URL_SECRET: 'a-secret-of-16-characters' });
    expect(await call({ sketch: factory })).toEqual({ result: '-104 wrong code' });
  });

  it('gets the firmware itself where the protocol is off, as from any web server', async () => {
    await start({ PROTOCOLS: 'native' });
    expect(await call({ sketch: first })).toEqual({ result: 'OK', flashed: first, available: undefined });
  });
});

describe('what Tasmota tries', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  beforeAll(async () => {
    await registry.start();
    registry.push('tasmota32', '14.2.0', first);
    service = await TestService.start({ REGISTRY_URL: registry.url });
  });
  afterAll(async () => {
    await service.stop();
    await registry.stop();
  });
  const get = (path: string): Promise<Outcome> =>
    update(service.port, path, { chip: 'esp32', sketch: factory, version: '14.1.0(tasmota32)' });

  it.each([
    ['/firmware/tasmota32.bin', 'OK'],
    ['/firmware/tasmota32-minimal.bin', '-102 file not found'],
    ['/firmware/tasmota32-safeboot.bin', '-102 file not found'],
    ['/firmware/tasmota32.bin.gz', '-102 file not found'],
    ['/firmware/tasmota32', '-102 file not found'],
    ['/firmware/.bin', '-104 wrong code'],
    ['/firmware/..%2f..%2fetc.bin', '-104 wrong code'],
    ['/firmware/%.bin', '-104 wrong code'],
  ])('%s: %s', async (path, result) => {
    expect((await get(path)).result).toBe(result);
  });

  it('asks nothing of the registry for names that are no firmware', () => {
    expect(registry.asked.map(({ url }) => url).filter((url) => /gz|etc|%/.test(url))).toEqual([]);
  });

  it('counts as one route', async () => {
    const metrics = await service.metrics();
    expect(metrics).not.toContain('tasmota32.bin');
    expect(metrics).toMatch(/http_requests_total\{[^}]*path="\/firmware"/);
  });
});

describe('the path of a file, for every client', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  beforeAll(async () => {
    await registry.start();
    registry.push('line-1/sensor', '1.0.0', first);
    service = await TestService.start({ REGISTRY_URL: registry.url });
  });
  afterAll(async () => {
    await service.stop();
    await registry.stop();
  });

  it.each([
    '/firmware/line-1/sensor.bin',
    '/firmware/line-1%2Fsensor.bin',
    '/firmware/line-1/sensor.bin?version=1.0.0',
  ])('%s is the firmware', async (path) => {
    const whole = await service.fetch(path);
    expect({ status: whole.status, size: (await whole.arrayBuffer()).byteLength }).toEqual({
      status: 200,
      size: first.length,
    });
    const part = await service.fetch(path, { headers: { Range: 'bytes=1-9' } });
    expect(part.status).toBe(206);
  });

  it.each([
    ['/firmware/line-1/sensor.bin?version=9.9.9', 404],
    ['/firmware/Sensor.bin', 400],
    ['/firmware/', 404],
  ])('%s gets %d', async (path, status) => {
    expect((await service.fetch(path)).status).toBe(status);
  });
});
