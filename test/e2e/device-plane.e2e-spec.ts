import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { Authority } from '../support/authority.js';
import { firmwareBytes, versionBody } from '../support/bytes.js';
import { esp32Update } from '../support/esp32-device.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient, type RawResponse } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const firmware = firmwareBytes(100_000);
const next = firmwareBytes(90_000, 'next');

const NO_UNIT = 'Invalid unit: expected 1 to 128 printable characters, such as a serial number';
const GRAMMAR = 'a device id consists of a-z, 0-9 and single . _ - / between them';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-tls-'));
const ca = new Authority(folder, 'ca');

/** With TLS, a client certificate that may speak for all, and limits: nothing of it may change a byte. */
function secure(): { options: TestOptions; tls: ConnectionOptions } {
  const [server, client] = [ca.issue('server'), ca.issue('tester')];
  writeFileSync(join(folder, 'map.yaml'), "tester: ['**']\n");
  return {
    options: {
      TLS_CERT_PATH: server.cert,
      TLS_KEY_PATH: server.key,
      TLS_CLIENT_CA_PATH: ca.cert,
      TLS_DEVICE_MAP: join(folder, 'map.yaml'),
      DEVICE_RATE_LIMIT: '10000/s',
      MAX_DOWNLOADS: '100',
    },
    tls: { ca: ca.pem, cert: readFileSync(client.cert), key: readFileSync(client.key) },
  };
}

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe.each(['http', 'https'] as const)('the device plane over %s', (scheme) => {
  const { options, tls } = scheme === 'https' ? secure() : { options: {}, tls: undefined };
  const registry = new FakeRegistry();
  let service: TestService;
  let client: RawClient;

  beforeAll(async () => {
    await registry.start();
    registry.push('fw/sensor', '1.2.3', firmware);
    registry.push('fw/line-1/sensor', '1.0.0', firmware);
    service = await TestService.start({ REGISTRY_URL: registry.url, REPOSITORY_PREFIX: 'fw/', ...options }, {}, tls);
    await service.version('sensor');
  });

  afterAll(async () => {
    await service.stop();
    await registry.stop();
  });

  afterEach(() => {
    client.close();
  });

  const ask = async (text: string, options?: { head?: boolean }): Promise<RawResponse> => {
    client = await RawClient.open(service.port, tls);
    return client.request(text, options);
  };
  const get = (target: string, headers = ''): Promise<RawResponse> =>
    ask(`GET ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);

  it('answers /version in one write, in a header block of under 400 bytes, with an exact length', async () => {
    const response = await get('/version?device=sensor');
    expect(response.body.toString()).toBe(versionBody('1.2.3', firmware));
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.has('transfer-encoding')).toBe(false);
    expect(response.head.length).toBeLessThan(400);
    expect(client.pieces).toHaveLength(1);
  });

  it('answers /version with the digests when asked for JSON', async () => {
    const response = await get('/version?device=sensor', 'Accept: application/json\r\n');
    expect(JSON.parse(response.body.toString())).toMatchObject({
      version: '1.2.3',
      size: firmware.length,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(response.headers.get('content-type')).toBe('application/json');
  });

  it.each([
    ['a stray CRLF before the request', '\r\nGET /version?device=sensor HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['two of them', '\r\n\r\nGET /version?device=sensor HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no Host at all', 'GET /version?device=sensor HTTP/1.1\r\n\r\n'],
    ['an absolute URL', 'GET http://ota.example/version?device=sensor HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['other parameters around', 'GET /version?a=1&device=sensor&b=%zz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an expectation', 'GET /version?device=sensor HTTP/1.1\r\nHost: x\r\nExpect: something\r\n\r\n'],
  ])('takes %s', async (_name, text) => {
    expect((await ask(text)).body.toString()).toBe(versionBody('1.2.3', firmware));
  });

  it.each(['line-1/sensor', 'line-1%2Fsensor', 'line-1%2fsensor'])('takes the id %s', async (id) => {
    expect((await get(`/version?device=${id}`)).status).toBe(200);
  });

  it('speaks HTTP/1.0: an exact length, and the end of the connection', async () => {
    const response = await ask('GET /firmware?device=sensor HTTP/1.0\r\n\r\n');
    expect(response.body.equals(firmware)).toBe(true);
    expect(response.headers.has('transfer-encoding')).toBe(false);
    await client.closed();
  });

  it.each([
    '&unit=24:6f:28:aa:bb:cc&running=1.0.0&hardware=rev-b&channel=beta',
    `&unit=${'u'.repeat(128)}`,
    '&unit=Gerät%207',
    '&running=&hardware=%00&channel=%0A',
    `&running=${'1'.repeat(1_000)}&unknown=x&&=&unit`,
  ])('answers a unit that says more of itself: %s', async (said) => {
    const response = await ask(
      `GET /version?device=sensor${encodeURI(said).replaceAll('%25', '%')} HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
    expect({ status: response.status, body: response.body.toString() }).toEqual({
      status: 200,
      body: versionBody('1.2.3', firmware),
    });
  });

  it('answers HEAD like GET without a body, and keeps the connection', async () => {
    const version = await ask('HEAD /version?device=sensor HTTP/1.1\r\nHost: x\r\n\r\n', { head: true });
    expect(version.headers.get('content-length')).toBe(String(versionBody('1.2.3', firmware).length));
    const whole = await client.request('HEAD /firmware?device=sensor HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n\r\n', {
      head: true,
    });
    expect(whole.status).toBe(200);
    expect(whole.headers.get('content-length')).toBe(String(firmware.length));
    expect((await client.request('GET /version?device=sensor HTTP/1.1\r\nHost: x\r\n\r\n')).status).toBe(200);
  });

  it.each([
    ['GET /version', 400, "Missing required query parameter: 'device'"],
    ['GET /version?device=', 400, "Missing required query parameter: 'device'"],
    ['GET /firmware?Device=sensor', 400, "Missing required query parameter: 'device'"],
    [
      'GET /version?device=../../etc',
      400,
      `Invalid device id: ${GRAMMAR}. See https://github.com/otaflux/otaflux/blob/main/docs/devices.md`,
    ],
    [
      'GET /version?device=Sensor',
      400,
      'Invalid device id: device ids are lower case: sensor. See https://github.com/otaflux/otaflux/blob/main/docs/devices.md',
    ],
    [
      'GET /version?device=AA:BB:CC:DD:EE:FF',
      400,
      'Invalid device id: this is a MAC address. A device id names a kind of device, such as esp32. See https://github.com/otaflux/otaflux/blob/main/docs/devices.md',
    ],
    [
      'GET /version?device=a%00b',
      400,
      `Invalid device id: ${GRAMMAR}. See https://github.com/otaflux/otaflux/blob/main/docs/devices.md`,
    ],
    [
      'GET /version?device=%',
      400,
      `Invalid device id: ${GRAMMAR}. See https://github.com/otaflux/otaflux/blob/main/docs/devices.md`,
    ],
    [
      `GET /version?device=${'a'.repeat(256)}`,
      400,
      'Invalid device id: device ids have 255 characters at most. See https://github.com/otaflux/otaflux/blob/main/docs/devices.md',
    ],
    ['GET /version?device=sensor&unit=', 400, NO_UNIT],
    [`GET /version?device=sensor&unit=${'u'.repeat(129)}`, 400, NO_UNIT],
    ['GET /firmware?unit=a%0Ab&device=sensor', 400, NO_UNIT],
    ['GET /version?device=nobody', 404, "No firmware for device 'nobody'"],
    ['GET /firmware?device=nobody', 404, "No firmware for device 'nobody'"],
    ['GET /firmware?device=sensor&version=9.9.9', 404, 'sensor has no version 9.9.9. The current version is 1.2.3.'],
    ['GET /firmware?device=sensor&version=newest', 404, "No firmware for device 'sensor'"],
    [`GET /firmware?device=sensor&version=1.0.0-${'a'.repeat(200)}`, 404, "No firmware for device 'sensor'"],
    ['GET /firmware?device=nobody&version=9.9.9', 404, "No firmware for device 'nobody'"],
    ['GET /firmware?device=sensor&version=', 404, "No firmware for device 'sensor'"],
    ['POST /version?device=sensor', 405, 'Method not allowed. Use GET or HEAD'],
    ['DELETE /firmware?device=sensor', 405, 'Method not allowed. Use GET or HEAD'],
    ['OPTIONS /firmware?device=sensor', 405, 'Method not allowed. Use GET or HEAD'],
  ])('%s is refused with %d and the end of the connection', async (line, status, body) => {
    const response = await ask(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect({ status: response.status, body: response.body.toString() }).toEqual({ status, body });
    expect(response.headers.get('connection')).toBe('close');
    expect(response.head.length).toBeLessThan(400);
    if (status === 405) expect(response.headers.get('allow')).toBe('GET, HEAD');
    await client.closed();
  });

  it.each([
    ['a space in the id', 'GET /version?device=my sensor HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['no HTTP', 'HELO sensor\r\n\r\n', 400],
    ['headers of 10,000 bytes', `GET /version?device=sensor HTTP/1.1\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`, 431],
  ])('%s is refused with an exact length and the end of the connection', async (_name, text, status) => {
    const response = await ask(text);
    expect(response.status).toBe(status);
    expect(response.headers.get('connection')).toBe('close');
    await client.closed();
  });

  it('closes the connection behind every other 4xx, too', async () => {
    const response = await get('/nothing');
    expect(response.status).toBe(404);
    expect(response.headers.get('connection')).toBe('close');
  });

  it.each([
    [undefined, 200, 0, 99_999],
    ['bytes=0-', 206, 0, 99_999],
    ['bytes=0-0', 206, 0, 0],
    ['bytes=0-65535', 206, 0, 65_535],
    ['bytes=65536-131071', 206, 65_536, 99_999],
    ['bytes=99999-100000', 206, 99_999, 99_999],
    ['bytes=500-', 206, 500, 99_999],
    ['bytes=-500', 206, 99_500, 99_999],
    ['bytes=-999999', 206, 0, 99_999],
    ['BYTES=1-2', 206, 1, 2],
    ['bytes=5-4', 200, 0, 99_999],
    ['bytes=', 200, 0, 99_999],
    ['bytes=-', 200, 0, 99_999],
    ['bytes=a-b', 200, 0, 99_999],
    ['items=0-5', 200, 0, 99_999],
    ['bytes=0-5,6-15', 206, 0, 15],
  ] as const)('Range: %s → %d', async (range, status, start, end) => {
    const response = await get('/firmware?device=sensor', range === undefined ? '' : `Range: ${range}\r\n`);
    expect(response.status).toBe(status);
    expect(response.body.equals(firmware.subarray(start, end + 1))).toBe(true);
    expect(response.headers.get('content-range')).toBe(status === 206 ? `bytes ${start}-${end}/100000` : undefined);
    expect(response.headers.get('accept-ranges')).toBe('bytes');
    expect(response.head.length).toBeLessThan(400);
  });

  it.each(['bytes=100000-', 'bytes=100000-100001', 'bytes=-0', 'bytes=99999999999999999999-'])(
    'Range: %s → 416 with the size',
    async (range) => {
      const response = await get('/firmware?device=sensor', `Range: ${range}\r\n`);
      expect(response.status).toBe(416);
      expect(response.headers.get('content-range')).toBe('bytes */100000');
      expect(response.headers.get('connection')).toBe('close');
    },
  );

  it('has a strong ETag of under 64 characters and answers 304 and If-Range by it', async () => {
    const whole = await get('/firmware?device=sensor');
    const etag = whole.headers.get('etag') ?? '';
    const modified = whole.headers.get('last-modified') ?? '';
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    const again = async (headers: string): Promise<RawResponse> =>
      client.request(`GET /firmware?device=sensor HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
    for (const match of [etag, `W/${etag}`, '*', `"other", ${etag}`]) {
      const unchanged = await again(`If-None-Match: ${match}\r\n`);
      expect({ status: unchanged.status, etag: unchanged.headers.get('etag'), length: unchanged.body.length }).toEqual({
        status: 304,
        etag,
        length: 0,
      });
    }
    expect((await again('If-None-Match: "other"\r\n')).status).toBe(200);
    expect((await again(`If-Modified-Since: ${modified}\r\n`)).status).toBe(304);
    expect((await again('If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT\r\n')).status).toBe(200);
    expect((await again(`Range: bytes=10-19\r\nIf-Range: ${etag}\r\n`)).status).toBe(206);
    // Two releases may share a second, so a date is no strong validator.
    expect((await again(`Range: bytes=10-19\r\nIf-Range: ${modified}\r\n`)).status).toBe(200);
    for (const noDate of ['1', '2099', 'tomorrow', 'Mon, 32 Jan 2099 00:00:00 GMT', '2099-01-01T00:00:00Z'])
      expect((await again(`If-Modified-Since: ${noDate}\r\n`)).status).toBe(200);
    for (const date of ['Thursday, 01-Jan-26 00:00:00 GMT', 'Thu Jan  1 00:00:00 2099'])
      expect((await again(`If-Modified-Since: ${date}\r\n`)).status).toBe(date.includes('2099') ? 304 : 200);
    expect((await again('If-Unmodified-Since: 1\r\n')).status).toBe(200);
    expect((await again('Range: bytes=10-19\r\nIf-Range: "other"\r\n')).status).toBe(200);
    expect((await again(`Range: bytes=10-19\r\nIf-Range: W/${etag}\r\n`)).status).toBe(200);
    expect((await again(`If-Match: ${etag}\r\n`)).status).toBe(200);
    expect((await again('If-Match: "other"\r\n')).status).toBe(412);
    // A refusal ended the connection.
    expect(
      (await get('/firmware?device=sensor', 'If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT\r\n')).status,
    ).toBe(412);
  });

  it('sends 600 ranges over one connection', async () => {
    client = await RawClient.open(service.port, tls);
    const size = Math.ceil(firmware.length / 600);
    const parts: Buffer[] = [];
    for (let start = 0; start < firmware.length; start += size) {
      const part = await client.request(
        `GET /firmware?device=sensor HTTP/1.1\r\nHost: x\r\nRange: bytes=${start}-${start + size - 1}\r\n\r\n`,
      );
      expect(part.status).toBe(206);
      parts.push(part.body);
    }
    expect(parts.length).toBeGreaterThanOrEqual(595);
    expect(Buffer.concat(parts).equals(firmware)).toBe(true);
  });

  it('answers three requests that are sent at once, in order', async () => {
    client = await RawClient.open(service.port, tls);
    client.send(
      'GET /version?device=sensor HTTP/1.1\r\n\r\nGET /firmware?device=sensor HTTP/1.1\r\nRange: bytes=0-3\r\n\r\nGET /version?device=nobody HTTP/1.1\r\n\r\n',
    );
    expect((await client.receive()).status).toBe(200);
    expect((await client.receive()).body.equals(firmware.subarray(0, 4))).toBe(true);
    expect((await client.receive()).status).toBe(404);
  });

  it('updates a device that behaves as the ESP32 client does', async () => {
    client = await RawClient.open(service.port, tls);
    const update = await esp32Update(service.port, 'sensor', undefined, tls);
    expect(update).toMatchObject({ version: '1.2.3', size: firmware.length });
    expect(update.flash.equals(firmware)).toBe(true);
  });

  it('gives a device the release that it was told, though a newer one came in between', async () => {
    client = await RawClient.open(service.port, tls);
    registry.push('fw/told', '1.0.0', firmware);
    const own = await TestService.start(
      { REGISTRY_URL: registry.url, REPOSITORY_PREFIX: 'fw', REFRESH_INTERVAL: '0', ...options },
      {},
      tls,
    );
    const update = await esp32Update(
      own.port,
      'told',
      async () => {
        registry.push('fw/told', '2.0.0', next);
        await until(async () => (await own.versionOf('told')) === '2.0.0', 'the newer release');
      },
      tls,
    );
    expect(update).toMatchObject({ version: '1.0.0', size: firmware.length });
    expect(update.flash.equals(firmware)).toBe(true);
    const current = await own.firmware('told');
    expect(Buffer.from(await current.arrayBuffer()).equals(next)).toBe(true);
    await own.stop();
  });

  it('keeps a told release for download by version, also while the registry is away', async () => {
    client = await RawClient.open(service.port, tls);
    const gone = await new FakeRegistry().start();
    gone.push('kept', '1.0.0', firmware);
    const own = await TestService.start(
      { REGISTRY_URL: gone.url, REFRESH_INTERVAL: '0', REGISTRY_TIMEOUT: '1300ms', ...options },
      {},
      tls,
    );
    expect(await own.versionOf('kept')).toBe('1.0.0');
    gone.push('kept', '2.0.0', next);
    expect(await own.versionOf('kept')).toBe('2.0.0');
    await gone.stop();
    const old = await own.firmware('kept&version=1.0.0');
    expect(Buffer.from(await old.arrayBuffer()).equals(firmware)).toBe(true);
    await own.stop();
  });

  it('serves a version exactly, however it is written', async () => {
    client = await RawClient.open(service.port, tls);
    registry.push('fw/exact', '1.0.0', firmware);
    registry.push('fw/exact', 'v1.1.0_build.7', next);
    registry.push('fw/exact', '2.0.0', firmware);
    for (const [version, bytes] of [
      ['1.0.0', firmware],
      ['1.1.0+build.7', next],
      ['v1.1.0_build.7', next],
      ['1.1.0%2Bbuild.7', next],
      ['2.0.0', firmware],
    ] as const) {
      const response = await service.firmware(`exact&version=${version}`);
      expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    }
  });

  it('answers /health with an empty 200 on both ports', async () => {
    client = await RawClient.open(service.port, tls);
    const ports = [(path: string) => service.fetch(path), (path: string) => fetch(`${service.managementUrl}${path}`)];
    for (const ask of ports) {
      const response = await ask('/health');
      expect({ status: response.status, body: await response.text() }).toEqual({ status: 200, body: '' });
      expect((await ask('/health/live')).status).toBe(200);
      const ready = (await (await ask('/health/ready')).json()) as { details: unknown };
      expect(ready).toMatchObject({
        status: 'ok',
        details: { registry: { state: 'up' }, cache: { diskHealthy: true } },
      });
    }
    expect((await service.fetch('/metrics')).status).toBe(404);
    expect((await fetch(`${service.managementUrl}/version?device=sensor`)).status).toBe(404);
  });

  it('counts requests by method, route and status', async () => {
    client = await RawClient.open(service.port, tls);
    const metrics = await service.metrics();
    expect(metrics).toMatch(/^http_requests_total\{method="GET",path="\/version",status="200"\} \d+$/m);
    expect(metrics).toMatch(/^http_requests_total\{method="GET",path="\/firmware",status="206"\} 6\d\d$/m);
    expect(metrics).toMatch(
      /^http_request_duration_seconds_bucket\{method="GET",path="\/version",status="200",le="0.001"\} \d+$/m,
    );
    expect(metrics).toMatch(/^firmware_cache_hit_total\{device_id="sensor"\} [1-9]\d*$/m);
    expect(metrics).toMatch(/^firmware_cache_miss_total\{device_id="sensor"\} \d+$/m);
    expect(metrics).toMatch(/^firmware_cache_entries \d$/m);
    expect(metrics).toMatch(/^otaflux_release_age_seconds\{device_id="sensor"\} [\d.]+$/m);
    expect(metrics).not.toContain('device_id="nobody"');
  });
});
