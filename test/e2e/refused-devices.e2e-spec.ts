import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeviceProtocol, DeviceRefusal, type Ask, type Match } from '../../src/index.js';
import { hashToken } from '../../src/device/access/credentials.js';
import { Repeats } from '../../src/logging/repeats.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, type LogLine, type TestOptions } from '../support/service.js';

describe('A device that is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-refused-'));
  const tokens = join(folder, 'tokens');
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(async () => {
    writeFileSync(tokens, `esp32 sha256:${hashToken('token-of-esp32')}\n`);
    await registry.start();
    registry.push('esp32', '1.0.0', firmwareBytes(1_000));
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => service.stop());

  const start = async (
    options: TestOptions,
    parts: Parameters<typeof TestService.start>[1] = {},
  ): Promise<TestService> => (service = await TestService.start({ REGISTRY_URL: registry.url, ...options }, parts));
  const refusals = (): LogLine[] =>
    service.logs.filter(({ event = '' }) => /^device\.(unauthorized|forbidden|limited)$/.test(event));

  it('is logged: without credentials, with wrong ones, with those of another device', async () => {
    await start({ DEVICE_TOKENS_PATH: tokens, TRUST_PROXY: '127.0.0.1' });
    const as = (authorization: string): RequestInit => ({
      headers: { 'X-Forwarded-For': '192.0.2.7', 'User-Agent': 'esp32/1', 'X-Request-Id': 'r-1', authorization },
    });
    expect((await service.version('esp32')).status).toBe(401);
    expect((await service.firmware('esp32', as('Bearer wrong-token'))).status).toBe(401);
    expect((await service.version('other', as('Bearer token-of-esp32'))).status).toBe(403);
    expect((await service.version('esp32', as('Bearer token-of-esp32'))).status).toBe(200);
    const common = { level: 'warn', method: 'GET', address: '192.0.2.7', userAgent: 'esp32/1', requestId: 'r-1' };
    const unknown = expect.stringMatching(/^the request has no valid credentials\. See /);
    expect(refusals()).toEqual([
      expect.objectContaining({ event: 'device.unauthorized', status: 401, device: 'esp32', reason: unknown }),
      expect.objectContaining({ ...common, event: 'device.unauthorized', path: '/firmware', reason: unknown }),
      expect.objectContaining({
        ...common,
        event: 'device.forbidden',
        status: 403,
        device: 'other',
        path: '/version',
        reason: expect.stringMatching(/^the credentials are valid, but not for this device\. See /),
      }),
    ]);
    expect(JSON.stringify(service.logs)).not.toMatch(/wrong-token|token-of-esp32/);
  });

  it.each([
    [
      'ADDRESS_RATE_LIMIT',
      'its address sent more requests than ADDRESS_RATE_LIMIT allows. Raise the limit, or set TRUST_PROXY behind a proxy',
    ],
    ['DEVICE_RATE_LIMIT', 'more requests came for this device than DEVICE_RATE_LIMIT allows. Raise the limit'],
  ] as const)('is logged: beyond %s', async (option, reason) => {
    await start({ [option]: '3/m' });
    expect((await service.version('esp32')).status).toBe(200);
    expect((await service.version('esp32')).status).toBe(429);
    expect(refusals()).toEqual([
      expect.objectContaining({ event: 'device.limited', level: 'warn', status: 429, device: 'esp32', reason }),
    ]);
  });

  it('is logged when a protocol of your own refuses it', async () => {
    class Own extends DeviceProtocol {
      override match(_method: string, path: string): Match | undefined {
        return path === '/own' ? { route: '/own' } : undefined;
      }
      override identify(): Ask {
        return { product: 'esp32' };
      }
      override handle(): never {
        throw new DeviceRefusal(403, 'Not today');
      }
    }
    await start({}, { protocols: [Own] });
    expect((await service.fetch('/own')).status).toBe(403);
    expect(refusals()).toEqual([
      expect.objectContaining({ event: 'device.forbidden', device: 'esp32', path: '/own', reason: 'Not today' }),
    ]);
  });

  it('is not logged as refused for what is no refusal', async () => {
    await start({});
    expect((await service.version('nobody')).status).toBe(404);
    expect((await service.fetch('/version')).status).toBe(400);
    expect((await service.version('esp32', { method: 'POST' })).status).toBe(405);
    expect(refusals()).toEqual([]);
  });

  it('fills no log, and hides no other refusal: 5,000 ids from as many addresses', async () => {
    await start({ DEVICE_TOKENS_PATH: tokens, TRUST_PROXY: '127.0.0.1' });
    const client = async (from: number): Promise<void> => {
      for (let i = from; i < from + 1_000; i++) {
        const connection = await RawClient.open(service.port);
        const headers = `X-Forwarded-For: 10.${i >> 16}.${(i >> 8) & 255}.${i & 255}\r\n`;
        const { status } = await connection.request(`GET /version?device=made-up-${i} HTTP/1.1\r\n${headers}\r\n`);
        expect(status).toBe(401);
        connection.close();
      }
    };
    await Promise.all([0, 1, 2, 3, 4].map((part) => client(part * 1_000)));
    // A machine that is busy may see more than one window of a minute.
    expect(service.events('device.unauthorized').length).toBeGreaterThanOrEqual(50);
    expect(service.events('device.unauthorized').length).toBeLessThanOrEqual(200);
    const authorization = 'Bearer token-of-esp32';
    expect((await service.version('other', { headers: { authorization } })).status).toBe(403);
    expect(service.events('device.forbidden')).toHaveLength(1);
  });

  it('has lines of a bounded length', async () => {
    await start({ DEVICE_TOKENS_PATH: tokens });
    const long = 'x'.repeat(3_000);
    expect(
      (await service.version('x'.repeat(250), { headers: { 'User-Agent': long, 'X-Request-Id': long } })).status,
    ).toBe(401);
    expect(JSON.stringify(refusals()[0]).length).toBeLessThan(1_000);
  });
});

describe('The filter of repeated lines', () => {
  it('forgets, however many events there are', () => {
    const repeats = new Repeats(() => undefined);
    let written = 0;
    for (let i = 0; i < 100_000; i++) if (repeats.admits(`event-of-a-plug-in-${i}`, 0)) written++;
    expect(written).toBe(100_000);
    expect(repeats.size).toBeLessThanOrEqual(1_000);
  });
});
