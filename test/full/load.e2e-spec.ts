import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until } from '../support/service.js';

const firmware = firmwareBytes(200_000);
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('under load', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  afterEach(async () => {
    registry.fault = () => false;
    await service.stop();
  });

  it('400 first requests for one device cost the registry one download', async () => {
    registry.push('fw', '1.0.0', firmware);
    registry.seen.length = 0;
    service = await TestService.start({ REGISTRY_URL: registry.url });
    const answers = await Promise.all(
      Array.from({ length: 400 }, (_value, i) => (i % 2 ? service.version('fw') : service.firmware('fw'))),
    );
    const lengths = await Promise.all(
      answers.map(async (answer) => [answer.status, (await answer.arrayBuffer()).byteLength]),
    );
    expect(new Set(lengths.map(String))).toEqual(new Set(['200,200000', '200,23']));
    expect(registry.count('blob')).toBe(1);
    expect(registry.count('tags')).toBeLessThanOrEqual(6);
    expect(registry.count('manifest')).toBeLessThanOrEqual(4);
  });

  it('a registry that is killed and comes back fails no request for a known device', async () => {
    registry.push('fw', '1.0.0', firmware);
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '50ms',
      REGISTRY_TIMEOUT: '300ms',
    });
    await service.version('fw');
    let running = true;
    const failures: unknown[] = [];
    let answered = 0;
    const device = async (): Promise<void> => {
      while (running) {
        const response = await service.version('fw');
        await response.arrayBuffer();
        if (response.status === 200) answered++;
        else failures.push(response.status);
      }
    };
    const devices = Array.from({ length: 8 }, device);
    await registry.stop();
    await until(() => service.events('refresh.failed').length > 0, 'a failed refresh');
    const before = answered;
    await until(() => answered > before + 200, 'answers while the registry is away');
    registry.push('fw', '1.1.0', firmware);
    await registry.start();
    await until(async () => (await service.versionOf('fw')) === '1.1.0', 'the new release');
    running = false;
    await Promise.all(devices);
    expect(failures).toEqual([]);
  });

  it('10,000 hostile requests: no crash, no 500, memory flat, no new metric label', async () => {
    registry.remove('fw');
    registry.push('fw', '1.0.0', firmware);
    service = await TestService.start({ REGISTRY_URL: registry.url, LOG_LEVEL: 'error' });
    await service.version('fw');
    const statuses = new Map<number, number>();
    const note = (status: number): void => void statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const attack = async (count: number): Promise<void> => {
      for (let done = 0; done < count;) {
        const client = await RawClient.open(service.port);
        // A request that announces a body and sends none is left waiting for it, by right.
        client.socket.setTimeout(1000, () => client.socket.destroy());
        try {
          for (let i = 0; i < 20 && done < count; i++) {
            done++;
            const text = hostile();
            note((await client.request(text, { head: text.startsWith('HEAD') })).status);
          }
        } catch {
          // The connection was closed behind a refusal, as it has to be.
        }
        client.close();
      }
    };
    const round = async (): Promise<number> => {
      await Promise.all(Array.from({ length: 20 }, () => attack(100)));
      service.logs.length = 0;
      registry.seen.length = 0;
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    await round();
    const first = await round();
    for (let i = 0; i < 2; i++) await round();
    const last = await round();
    expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([]);
    expect([...statuses.values()].reduce((a, b) => a + b)).toBeGreaterThan(5_000);
    expect(last - first).toBeLessThan(15_000_000);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    const metrics = await service.metrics();
    expect(new Set(metrics.match(/device_id="[^"]*"/g))).toEqual(new Set(['device_id="fw"']));
    const paths = new Set(metrics.match(/path="[^"]*"/g));
    expect(
      [...paths].filter(
        (path) => !['path="/version"', 'path="/firmware"', 'path="/metrics"', 'path="other"'].includes(path),
      ),
    ).toEqual([]);
  }, 360_000);
});

const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!;

/** A request that no well-behaved client sends. */
function hostile(): string {
  const id = pick([
    () => randomBytes(8).toString('hex'),
    () => `${'a/'.repeat(Math.floor(Math.random() * 150))}b`,
    () => '../'.repeat(20),
    () => encodeURIComponent(randomBytes(20).toString('latin1')),
    () =>
      randomBytes(20)
        .toString('latin1')
        .replaceAll(/[\s\0]/g, ''),
    () => `fw&version=${randomBytes(4).toString('hex')}`,
    () => `fw&version=${Math.floor(Math.random() * 1e6)}.0.0`,
    () => `fw&device=${'x'.repeat(3000)}`,
    () => '%E0%A4%A&device=fw',
    () => "';DROP TABLE devices;--",
    () => '__proto__',
    () => 'constructor',
  ])();
  const headers = pick([
    () => '',
    () => `Range: bytes=${'0-0,'.repeat(500)}0-0\r\n`,
    () => `Range: bytes=${'9'.repeat(400)}-\r\n`,
    () => `If-None-Match: ${'"x",'.repeat(500)}"y"\r\n`,
    () => `Accept: ${randomBytes(200).toString('base64')}\r\n`,
    () => `X-${randomBytes(4).toString('hex')}: ${'v'.repeat(2000)}\r\n`,
    () => 'Content-Length: 5\r\n',
    () => 'Transfer-Encoding: chunked\r\nContent-Length: 3\r\n',
    () => 'Upgrade: websocket\r\nConnection: Upgrade\r\n',
  ])();
  const method = pick(['GET', 'GET', 'GET', 'HEAD', 'POST', 'PUT', 'TRACE', 'PROPFIND', 'G\0T']);
  const path = pick([
    '/version',
    '/firmware',
    '/version',
    '/firmware',
    '/',
    '/%2e%2e/',
    '/health/x',
    `/${randomBytes(6).toString('hex')}`,
  ]);
  return `${method} ${path}?device=${id} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
}
