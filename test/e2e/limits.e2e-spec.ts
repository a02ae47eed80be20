import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { RateLimiter } from '../../src/device/limits/rate-limiter.js';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { esp32Update } from '../support/esp32-device.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient, type RawResponse } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';
import { amount } from '../support/extent.js';

const firmware = firmwareBytes(200_000);

/** How many files a process may have open; many where nobody says. */
function maxOpenFiles(): number {
  try {
    return Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1_000);
  } catch {
    return 1_000;
  }
}

describe('RateLimiter', () => {
  it('takes a burst at once, and then as many as its rate', () => {
    const limiter = new RateLimiter(10, 5);
    const taken = (count: number, nowMs: number): number =>
      Array.from({ length: count }, () => limiter.take('a', nowMs)).filter((waitMs) => waitMs === 0).length;
    expect(taken(10, 0)).toBe(5);
    expect(limiter.take('a', 0)).toBe(100);
    expect(taken(10, 250)).toBe(2);
    expect(taken(10, 10_000)).toBe(5);
  });

  it('counts each key by itself, and forgets what has been quiet', () => {
    const limiter = new RateLimiter(1, 1);
    const waits = new Set<number>();
    for (let i = 0; i < 500_000; i++) waits.add(limiter.take(`made-up-${i}`, 0));
    expect([...waits]).toEqual([0]);
    expect(limiter.take('known', 1)).toBe(0);
    expect(limiter.take('known', 2)).toBeGreaterThan(990);
    expect(limiter.take('known', 2_000)).toBe(0);
  });
});

describe('limits', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    for (const device of ['a', 'b']) registry.push(device, '1.0.0', firmware);
  });
  afterAll(() => registry.stop());
  afterEach(() => service.stop());

  const start = async (options: TestOptions): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, ...options });
  };
  const get = async (target: string, headers = ''): Promise<RawResponse> => {
    const client = await RawClient.open(service.port);
    const response = await client.request(`GET ${target} HTTP/1.1\r\n${headers}\r\n`);
    client.close();
    return response;
  };

  it('refuse a device that asks too much, and no other', async () => {
    await start({ DEVICE_RATE_LIMIT: '6/m' });
    // A tenth a second, two at once.
    expect((await get('/version?device=a')).status).toBe(200);
    expect((await get('/firmware?device=a')).status).toBe(200);
    const refused = await get('/version?device=a');
    expect(refused).toMatchObject({ status: 429, body: Buffer.from('Too many requests, try again later') });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(5);
    expect(refused.headers.get('connection')).toBe('close');
    expect((await get('/version?device=b')).status).toBe(200);
    expect(await service.metrics()).toMatch(/otaflux_limited_total\{limit="device"\} 1/);
  });

  it('refuse an address that asks too much, as the proxies in front tell it', async () => {
    await start({ ADDRESS_RATE_LIMIT: '6/m', TRUST_PROXY: '127.0.0.1,10.0.0.0/8' });
    const from = (chain: string): Promise<RawResponse> => get('/version?device=a', `X-Forwarded-For: ${chain}\r\n`);
    expect((await from('1.1.1.1')).status).toBe(200);
    expect((await from('9.9.9.9, 1.1.1.1, 10.1.2.3')).status).toBe(200);
    // What the client itself put in front changes nothing.
    expect((await from('8.8.8.8, 1.1.1.1')).status).toBe(429);
    expect((await from('2.2.2.2')).status).toBe(200);
    expect((await from('nonsense')).status).toBe(200);
  });

  it('are off where they are 0', async () => {
    await start({ ADDRESS_RATE_LIMIT: '0', DEVICE_RATE_LIMIT: '0' });
    const client = await RawClient.open(service.port);
    for (let i = 0; i < 3_000; i++)
      expect((await client.request('GET /version?device=a HTTP/1.1\r\n\r\n')).status).toBe(200);
    client.close();
  });

  const fleet = amount(500, 10_000);
  it(`hit no fleet of ${fleet} devices that come at once from one address`, async () => {
    for (let i = 0; i < 50; i++) registry.push(`fleet/d${i}`, '1.0.0', firmwareBytes(1_000));
    await start({ REPOSITORY_PREFIX: 'fleet' });
    const statuses = new Map<number, number>();
    const one = async (i: number): Promise<void> => {
      const client = await RawClient.open(service.port);
      for (const path of ['version', 'firmware']) {
        const { status } = await client.request(`GET /${path}?device=d${i % 50} HTTP/1.1\r\n\r\n`);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
      client.close();
    };
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < fleet) await one(next++);
    };
    await Promise.all(Array.from({ length: 200 }, worker));
    expect([...statuses]).toEqual([[200, 2 * fleet]]);
  });

  it('on downloads send devices away at /version, and let those go on that were told', async () => {
    await start({ MAX_DOWNLOADS: '1', CACHE_MEMORY: '512MiB' });
    const big = firmwareBytes(30_000_000);
    registry.push('big', '1.0.0', big);
    const told = await RawClient.open(service.port);
    expect((await told.request('GET /version?device=a HTTP/1.1\r\n\r\n')).status).toBe(200);
    // One that reads nothing.
    const slow = connect({ port: service.port, host: '127.0.0.1' });
    await new Promise((resolve) => slow.once('connect', resolve));
    slow.pause();
    slow.write('GET /firmware?device=big HTTP/1.1\r\n\r\n');
    await until(async () => (await service.metrics()).includes('otaflux_downloads 1'), 'the download');
    const refused = await get('/version?device=b');
    expect(refused).toMatchObject({ status: 503, body: Buffer.from('Too many downloads, try again later') });
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThanOrEqual(5);
    expect(seconds).toBeLessThanOrEqual(15);
    expect((await get('/firmware?device=b')).status).toBe(503);
    expect((await told.request('GET /firmware?device=a HTTP/1.1\r\n\r\n')).body.equals(firmware)).toBe(true);
    slow.destroy();
    await until(async () => (await get('/version?device=b')).status === 200, 'room for another');
    expect(await service.metrics()).toMatch(/otaflux_limited_total\{limit="downloads"\} [23456789]/);
    told.close();
  });

  it('on connections close what is too much at once', async () => {
    await start({ MAX_CONNECTIONS: '3' });
    const clients = await Promise.all([1, 2, 3].map(() => RawClient.open(service.port)));
    const fourth = await RawClient.open(service.port);
    await fourth.closed();
    expect((await clients[0]!.request('GET /version?device=a HTTP/1.1\r\n\r\n')).status).toBe(200);
    for (const client of clients) client.close();
  });

  it('end connections that send their headers byte by byte, and stop no device meanwhile', async () => {
    await start({});
    // A process of its own: this one has enough to do with so many clients.
    const server = new Cli(
      ['--registry-url', registry.url, '--headers-timeout', `${amount(2, 5)}s`, '--device-rate-limit', '0'].concat([
        '--listen-addr',
        '127.0.0.1:0',
        '--metrics-listen-addr',
        '127.0.0.1:0',
      ]),
    );
    const port = await server.port();
    const count = Math.min(amount(200, 10_000), maxOpenFiles() - 500);
    const sockets: Socket[] = [];
    let ended = 0;
    for (let i = 0; i < count; i += 500) {
      await Promise.all(
        Array.from({ length: Math.min(500, count - i) }, () => {
          const socket = connect({ port, host: '127.0.0.1' });
          sockets.push(socket);
          socket.on('error', () => undefined);
          socket.once('close', () => ended++);
          return new Promise((resolve) => socket.once('connect', resolve));
        }),
      );
    }
    const text = 'GET /version?device=a HTTP/1.1\r\nX-Slow: ';
    let at = 0;
    const drip = setInterval(() => {
      for (const socket of sockets) if (!socket.destroyed) socket.write(text[at % text.length] ?? 'x');
      at++;
    }, 1_000);
    const updates: number[] = [];
    while (ended < sockets.length) {
      const startedMs = performance.now();
      const update = await esp32Update(port, 'a');
      expect(update.flash.equals(firmware)).toBe(true);
      updates.push(performance.now() - startedMs);
    }
    clearInterval(drip);
    server.kill();
    await server.finished;
    updates.sort((a, b) => a - b);
    process.stdout.write(
      `${updates.length} updates beside ${count} slow connections: median ${updates[Math.floor(updates.length / 2)]?.toFixed(0)} ms, slowest ${updates.at(-1)?.toFixed(0)} ms\n`,
    );
    expect(updates.length).toBeGreaterThan(2);
  });

  it('end no reader that is merely slow', async () => {
    await start({ HEADERS_TIMEOUT: '500ms', CACHE_MEMORY: '512MiB' });
    registry.push('large', '1.0.0', firmwareBytes(5_000_000));
    const socket = connect({ port: service.port, host: '127.0.0.1' });
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write('GET /firmware?device=large HTTP/1.1\r\nConnection: close\r\n\r\n');
    let received = 0;
    let reads = 0;
    socket.on('data', (piece: Buffer) => {
      received += piece.length;
      if (++reads > 30) return;
      socket.pause();
      setTimeout(() => socket.resume(), 50);
    });
    await new Promise((resolve) => socket.once('close', resolve));
    expect(reads).toBeGreaterThan(30);
    expect(received).toBeGreaterThan(5_000_000);
  });
});
