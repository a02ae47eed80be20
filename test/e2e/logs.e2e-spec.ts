import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { optionOf, VARIABLES } from '../../src/config/index.js';
import { Repeats } from '../../src/logging/repeats.js';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { amount } from '../support/extent.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type LogLine, type TestOptions } from '../support/service.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe('log lines', () => {
  const registry = new FakeRegistry();
  let service: TestService | undefined;

  beforeAll(async () => {
    await registry.start();
    registry.push('esp32', '1.0.0', firmwareBytes(1_000));
  });
  afterAll(() => registry.stop());
  afterEach(async () => {
    await service?.stop();
    service = undefined;
    registry.fault = () => false;
  });

  const start = async (options: TestOptions): Promise<TestService> =>
    (service = await TestService.start({
      REGISTRY_URL: registry.url,
      WEBHOOK_SECRET: 'a-secret-for-tests',
      ...options,
    }));

  it('have the request id and the trace of the webhook that they follow from', async () => {
    const running = await start({});
    const headers = { 'X-Request-Id': 'harbor-42', traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
    const hook = await running.api
      .post('/webhooks/generic?token=a-secret-for-tests')
      .set(headers)
      .send({ repository: 'esp32' });
    expect(hook.headers['x-request-id']).toBe('harbor-42');
    await until(() => running.events('release.changed').length === 1, 'the release');
    const expected = { requestId: 'harbor-42', traceId: TRACE };
    expect(running.events('webhook.received')[0]).toMatchObject({ source: 'generic', queued: 1, ...expected });
    expect(running.events('release.changed')[0]).toMatchObject(expected);
  });

  it('have an id that was made where the caller sends none, or nonsense', async () => {
    const running = await start({});
    for (const headers of [{}, { 'X-Request-Id': 'a b"c', traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` }]) {
      const response = await running.management.get('/health').set(headers as Record<string, string>);
      expect(response.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
    // Devices have small buffers.
    expect((await running.version('esp32')).headers.get('x-request-id')).toBeNull();
  });

  it('of device requests are not written, or all, or some', async () => {
    let running = await start({});
    await running.version('esp32');
    expect(running.events('device.request')).toEqual([]);
    await running.stop();
    running = await start({ ACCESS_LOG: '1', TRUST_PROXY: '127.0.0.1' });
    await running.version('esp32', { headers: { 'X-Forwarded-For': '192.0.2.7', 'User-Agent': 'esp32/1' } });
    await running.version(`nobody${'x'.repeat(200)}`);
    await running.version('Sensor');
    await until(() => running.events('device.request').length === 3, 'the lines');
    expect(running.events('device.request')).toEqual([
      expect.objectContaining({
        level: 'info',
        method: 'GET',
        path: '/version',
        device: 'esp32',
        status: 200,
        whole: true,
        address: '192.0.2.7',
        userAgent: 'esp32/1',
        requestId: expect.any(String),
        ms: expect.any(Number),
      }),
      expect.objectContaining({ status: 404, device: `nobody${'x'.repeat(122)}` }),
      expect.objectContaining({ status: 400, device: 'Sensor' }),
    ]);
    await running.stop();
    running = await start({ ACCESS_LOG: '0.1' });
    const client = await RawClient.open(running.port);
    for (let i = 0; i < 2_000; i++) await client.request('GET /version?device=esp32 HTTP/1.1\r\n\r\n');
    client.close();
    const count = running.events('device.request').length;
    expect(count).toBeGreaterThan(100);
    expect(count).toBeLessThan(350);
  });

  it('of what repeats are held back and counted', () => {
    const reports: [string, number][] = [];
    const repeats = new Repeats((event, count) => reports.push([event, count]));
    const written = Array.from({ length: 10_000 }, () => repeats.admits('refresh.failed', 0)).filter(Boolean).length;
    expect(written).toBe(50);
    expect(repeats.admits('notifier.failed', 0)).toBe(true);
    expect(repeats.admits('refresh.failed', 60_001)).toBe(true);
    expect(reports).toEqual([['refresh.failed', 9_950]]);
  });

  const fleet = amount(500, 3_000);
  it(`are few when the registry is down for ${fleet} devices`, async () => {
    const running = await start({ REFRESH_INTERVAL: '0', REGISTRY_TIMEOUT: '200ms' });
    registry.fault = (request) => {
      request.socket.destroy();
      return true;
    };
    const startedMs = performance.now();
    for (let i = 0; i < fleet; i += 100)
      await Promise.all(Array.from({ length: 100 }, (_value, k) => running.version(`d${i + k}`)));
    const minutes = Math.ceil((performance.now() - startedMs) / 60_000);
    // Fifty of a kind in a minute, and a few of other kinds.
    const lines = running.logs.filter(({ level }) => level === 'warn' || level === 'error');
    expect(lines.length).toBeLessThan(60 * (minutes + 1));
  });
});

describe('secrets', () => {
  const MARKER = 'm4rk3r-of-a-secret';
  const silent: Server[] = [];

  afterAll(() => {
    for (const server of silent) server.close();
  });

  it('of the option table are in no log line, metric, answer or process title, whatever fails', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-secrets-'));
    const closing = createServer((socket) => {
      socket.on('error', () => undefined).on('data', () => socket.destroy());
    }).listen(0, '127.0.0.1');
    silent.push(closing);
    await new Promise((resolve) => closing.once('listening', resolve));
    const { port } = closing.address() as AddressInfo;
    const marked = (scheme: string, rest = ''): string => `${scheme}://user:${MARKER}@127.0.0.1:${port}${rest}`;
    const secrets: Record<string, string> = {
      MQTT_URL: marked('mqtt'),
      REDIS_URL: marked('redis'),
      NOTIFY: [
        marked('mqtt', '?name=m'),
        marked('redis'),
        marked('nats'),
        marked('amqp'),
        marked('kafka'),
        marked('http', `/${MARKER}`),
        `http://127.0.0.1:1/${MARKER}`,
      ].join(','),
      EVENTS: ['mqtt', 'redis', 'nats', 'amqp', 'kafka'].map((scheme) => marked(scheme)).join(','),
    };
    for (const variable of VARIABLES.filter((name) => optionOf(name).secret)) secrets[variable] ??= MARKER;
    const files = Object.entries(secrets).flatMap(([variable, value]) => {
      const path = join(folder, variable);
      writeFileSync(path, value);
      return [`--${variable.toLowerCase().replaceAll('_', '-')}-file`, path];
    });
    const server = new Cli([
      ...['--registry-url', `http://127.0.0.1:${port}`, '--registry-username', 'robot', '--registry-timeout', '500ms'],
      ...[
        '--mqtt-username',
        'robot',
        '--mqtt-topic',
        'fw',
        '--log-level',
        'trace',
        '--access-log',
        '1',
        '--shutdown-grace',
        '1s',
      ],
      ...['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0', ...files],
    ]);
    const line: LogLine = await server.event('server.ready');
    const [url, management] = [`http://${String(line.address)}`, `http://${String(line.management)}`];
    const answers: string[] = [];
    const ask = async (target: string, init: RequestInit = {}): Promise<void> => {
      const response = await fetch(target, init);
      answers.push(`${[...response.headers].join('\n')}\n${await response.text()}`);
    };
    await ask(`${url}/version?device=esp32`);
    await ask(`${url}/version?device=esp32&token=${MARKER}`);
    for (const body of ['{', '{"repository":"esp32"}'])
      for (const headers of [{ Authorization: `Bearer ${MARKER}` }, { Authorization: 'Bearer wrong' }])
        await ask(`${url}/webhooks/generic?token=${MARKER}`, {
          method: 'POST',
          body,
          headers: headers as Record<string, string>,
        });
    await ask(`${url}/webhooks/${MARKER}`, { method: 'POST', body: '{}' });
    for (const path of ['metrics', 'health/ready', 'status', 'notify', 'openapi.json', `nothing?x=${MARKER}`])
      await ask(`${management}/${path}`);
    await until(
      () =>
        ['m', 'redis', 'nats', 'rabbitmq', 'kafka', 'http', 'mqtt'].every((name) =>
          server.stdout.includes(`"notifier":"${name}"`),
        ),
      'every broker to fail',
      20_000,
    );
    const title = readFileSync(`/proc/${server.pid}/cmdline`, 'utf8');
    server.kill();
    const { stdout, stderr } = await server.finished;
    const holds = (text: string): string[] => text.split('\n').filter((part) => part.includes(MARKER));
    expect({ log: holds(stdout + stderr), title: holds(title) }).toEqual({ log: [], title: [] });
    // What a client itself sent may come back to it, in a 404 of the path that it asked for.
    expect(
      answers.flatMap(holds).filter((text) => !text.includes('Cannot GET') && !text.includes('no webhook source')),
    ).toEqual([]);
    rmSync(folder, { recursive: true });
  });
});
