import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Delivery,
  DeviceProtocol,
  type Ask,
  DeviceRefusal,
  injects,
  OtaError,
  SignatureVerifier,
  type DeviceRequest,
  type Match,
  type Verification,
} from '../../src/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry, json } from '../support/fake-registry.js';
import { connectTo, RawClient } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const firmware = firmwareBytes(50_000);
const next = firmwareBytes(60_000, 'next');
/** More than the kernel's buffers of both ends take. */
const large = firmwareBytes(24 * 1024 * 1024, 'large');

const registry = new FakeRegistry();
let service: TestService;
const start = async (options: TestOptions = {}, parts = {}): Promise<TestService> =>
  (service = await TestService.start({ REGISTRY_URL: registry.url, ...options }, parts));

beforeEach(async () => {
  await registry.start();
  registry.fault = () => false;
});

afterEach(async () => {
  await service.stop();
  await registry.stop();
});

describe('MAX_DOWNLOADS', () => {
  it('holds on a cold start: of 30 devices that ask at once for what nobody has asked for, 2 get it', async () => {
    registry.push('cold', '1.0.0', large);
    await start({ MAX_DOWNLOADS: '2' });
    let answer: (() => void) | undefined;
    registry.fault = (_request, response, kind) => {
      if (kind !== 'tags' || answer) return false;
      answer = () => {
        json(response, 200, { name: 'cold', tags: ['1.0.0'] });
      };
      return true;
    };
    const clients = await Promise.all(Array.from({ length: 30 }, () => connectTo(service.port)));
    const firstLines = clients.map(
      (socket) =>
        new Promise<string>((resolve) => {
          socket.on('error', () => undefined);
          socket.once('data', (piece: Buffer) => {
            socket.pause();
            resolve(piece.toString('latin1').split('\r\n')[0] ?? '');
          });
          socket.write('GET /firmware?device=cold HTTP/1.1\r\nHost: x\r\n\r\n');
        }),
    );
    await until(() => answer !== undefined, 'the question to the registry');
    answer?.();
    const lines = await Promise.all(firstLines);
    expect(lines.filter((line) => line === 'HTTP/1.1 200 OK')).toHaveLength(2);
    expect(lines.filter((line) => line === 'HTTP/1.1 503 Service Unavailable')).toHaveLength(28);
    for (const socket of clients) socket.destroy();
  });

  it('counts neither HEAD nor 304 nor 416, and lets them pass when it is reached', async () => {
    registry.push('fw', '1.0.0', large);
    await start({ MAX_DOWNLOADS: '1' });
    const etag = (await service.firmware('fw', { method: 'HEAD' })).headers.get('etag') ?? '';
    const reader = await connectTo(service.port);
    reader.on('error', () => undefined);
    reader.pause();
    reader.write('GET /firmware?device=fw HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(async () => (await service.metrics()).includes('otaflux_downloads 1\n'), 'a download under way');
    for (let i = 0; i < 3; i++) {
      expect((await service.firmware('fw', { method: 'HEAD' })).status).toBe(200);
      expect((await service.firmware('fw', { headers: { 'If-None-Match': etag } })).status).toBe(304);
      expect((await service.firmware('fw', { headers: { Range: `bytes=${large.length}-` } })).status).toBe(416);
    }
    expect((await service.firmware('fw')).status).toBe(503);
    expect((await service.version('fw')).status).toBe(503);
    expect(await service.metrics()).toMatch(/^otaflux_downloads 1$/m);
    reader.destroy();
    await until(async () => (await service.firmware('fw', { headers: { Range: 'bytes=0-9' } })).status === 206, 'room');
  });
});

/** A dialect of a team's own that fails in every way it can, with a parameter in its path. */
class FailingProtocol extends DeviceProtocol {
  override match(_method: string, path: string): Match | undefined {
    const [, device = '', how = ''] = /^\/own\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    return device ? { route: '/own/:device/:how', params: { device, how } } : undefined;
  }
  override identify({ params }: DeviceRequest): Ask {
    return { product: params.device ?? '' };
  }
  constructor(private readonly delivery: Delivery) {
    super();
  }
  override handle({ product }: Ask, request: DeviceRequest, response: ServerResponse): void | Promise<void> {
    const { how } = request.params;
    if (how === 'throws') throw new OtaError('denied', 'refused');
    if (how === 'refuses') throw new DeviceRefusal(418, 'teapot');
    if (how === 'breaks') throw new TypeError('a mistake');
    const answer = async (): Promise<void> => {
      const release = await this.delivery.wanted(product, request);
      this.delivery.send(release, request, response, ['x-MD5', release.firmware.md5]);
    };
    return answer();
  }
}

describe('a dialect of a team’s own', () => {
  const parts = { protocols: [injects(FailingProtocol, Delivery)] };

  it.each([
    ['fw/sends', 200, undefined],
    ['nobody/sends', 404, "No firmware for device 'nobody'"],
    ['fw/throws', 502, 'The registry refused the request or gave a wrong answer. The log of the server says why'],
    ['fw/refuses', 418, 'teapot'],
    ['fw/breaks', 500, 'Internal error. The log of the server says why'],
  ])('/own/%s is answered with %d by the one table', async (path, status, body) => {
    registry.push('fw', '1.0.0', firmware);
    await start({}, parts);
    const response = await service.fetch(`/own/${path}`);
    expect(response.status).toBe(status);
    const bytes = Buffer.from(await response.arrayBuffer());
    if (body === undefined) expect(bytes.equals(firmware)).toBe(true);
    else expect(bytes.toString()).toBe(body);
    if (status >= 400) expect(response.headers.get('connection')).toBe('close');
    expect(service.events('device.failed')).toHaveLength(status === 500 ? 1 : 0);
  });

  it('answers 503 while the registry is away, as /version does', async () => {
    await start({ REGISTRY_TIMEOUT: '1300ms' }, parts);
    await registry.stop();
    expect((await service.fetch('/own/fw/sends')).status).toBe(503);
  });

  it('sends ranges, 304 and its own headers by the same rules', async () => {
    registry.push('fw', '1.0.0', firmware);
    await start({}, parts);
    const part = await service.fetch('/own/fw/sends', { headers: { Range: 'bytes=10-19' } });
    expect({ status: part.status, md5: part.headers.get('x-md5')?.length }).toEqual({ status: 206, md5: 32 });
    expect(Buffer.from(await part.arrayBuffer()).equals(firmware.subarray(10, 20))).toBe(true);
    const etag = part.headers.get('etag') ?? '';
    expect((await service.fetch('/own/fw/sends', { headers: { 'If-None-Match': etag } })).status).toBe(304);
  });

  it('makes one series for a route, whatever its paths hold', async () => {
    registry.push('fw', '1.0.0', firmware);
    await start({}, parts);
    for (let i = 0; i < 50; i++) await service.fetch(`/own/made-up-${i}/sends`);
    const metrics = await service.metrics();
    expect(metrics).toMatch(/^http_requests_total\{method="GET",path="\/own\/:device\/:how",status="404"\} 50$/m);
    expect(metrics).not.toContain('made-up');
  });
});

/** Trusts everything, in the name of somebody whose name is no ASCII. */
class Naming extends SignatureVerifier {
  override verify(): Promise<Verification> {
    return Promise.resolve({
      trusted: true,
      signer: { name: 'Jörg Müller – 工場', form: 'bundle', at: undefined, identity: 'x', issuer: 'y' },
    });
  }
}

it('/version as JSON has the length of the bytes that are sent, also beyond ASCII', async () => {
  registry.push('fw', '1.0.0', firmware);
  await start({ SIGNED_VERSION: 'ignore' }, { verifier: Naming });
  const client = await RawClient.open(service.port);
  const response = await client.request(
    'GET /version?device=fw HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n',
  );
  expect(JSON.parse(response.body.toString('utf8'))).toMatchObject({ signedBy: 'Jörg Müller – 工場' });
  expect((await client.request('GET /version?device=fw HTTP/1.1\r\nHost: x\r\n\r\n')).status).toBe(200);
  client.close();
});

it('MAX_STALE holds for what is asked for by its version, too', async () => {
  registry.push('fw', '1.0.0', firmware);
  registry.push('fw', '2.0.0', next);
  await start({ REFRESH_INTERVAL: '50ms', MAX_STALE: '400ms', REGISTRY_TIMEOUT: '1300ms' });
  expect(await service.versionOf('fw')).toBe('2.0.0');
  expect((await service.firmware('fw&version=1.0.0')).status).toBe(200);
  await registry.stop();
  for (const version of ['2.0.0', '1.0.0'])
    await until(async () => (await service.firmware(`fw&version=${version}`)).status === 503, `${version} is too old`);
});

describe('Last-Modified', () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-dates-'));
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const dates = async (): Promise<{ modified: string; status: (since: string) => Promise<number> }> => {
    const modified = (await service.firmware('fw', { method: 'HEAD' })).headers.get('last-modified') ?? '';
    const status = async (since: string): Promise<number> =>
      (await service.firmware('fw', { headers: { 'If-Modified-Since': since } })).status;
    return { modified, status };
  };

  it('is when a release became current: after a rollback no device keeps the withdrawn firmware', async () => {
    const built = { 'org.opencontainers.image.created': '2020-01-01T00:00:00Z' };
    registry.push('fw', '1.0.0', firmware, undefined, undefined, built);
    await start({ REFRESH_INTERVAL: '0' });
    const first = await dates();
    expect(Date.parse(first.modified)).toBeGreaterThan(Date.parse('2026-01-01'));
    registry.push('fw', '2.0.0', next, undefined, undefined, built);
    await until(async () => (await service.versionOf('fw')) === '2.0.0', 'the newer one');
    const second = await dates();
    registry.repository('fw').tags.delete('2.0.0');
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the rollback');
    const third = await dates();
    const times = [first, second, third].map(({ modified }) => Date.parse(modified));
    expect(times[1]).toBeGreaterThan(times[0] ?? NaN);
    expect(times[2]).toBeGreaterThan(times[1] ?? NaN);
    // What a device remembers of the withdrawn release, or of the one before it, is no reason to keep it.
    expect(await third.status(second.modified)).toBe(200);
    expect(await third.status(first.modified)).toBe(200);
    expect(await third.status(third.modified)).toBe(304);
  });

  it('survives a restart with CACHE_DIR, and is later after one that missed a change', async () => {
    registry.push('fw', '1.0.0', firmware);
    const options = { CACHE_DIR: folder, REFRESH_INTERVAL: '0' };
    await start(options);
    const { modified } = await dates();
    await service.stop();
    await start(options);
    expect((await dates()).modified).toBe(modified);
    await service.stop();
    registry.push('fw', '2.0.0', next);
    await start(options);
    expect(Date.parse((await dates()).modified)).toBeGreaterThan(Date.parse(modified));
  });

  it('is the same after a restart while the registry is away', async () => {
    registry.push('fw', '1.0.0', firmware);
    const options = { CACHE_DIR: folder, REGISTRY_TIMEOUT: '1300ms' };
    await start(options);
    const { modified } = await dates();
    await service.stop();
    await registry.stop();
    await start(options);
    expect((await dates()).modified).toBe(modified);
  });
});
