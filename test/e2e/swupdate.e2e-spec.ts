import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashToken } from '../../src/device/access/credentials.js';
import { firmwareBytes } from '../support/bytes.js';
import { SwupdateClient, type SwupdateConfig } from '../support/clients/swupdate.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const first = firmwareBytes(300_000, 'first.swu');
const second = firmwareBytes(400_000, 'second.swu');

const LOGEVENT = { started: 'started,unit,date', success: 'success,unit,date', fail: 'fail,unit,date,board' };

describe('SWUpdate with the general server', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let folder: string;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-'));
    registry.fault = () => false;
    registry.push('gateway', '1.0.0', first);
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('gateway');
    rmSync(folder, { recursive: true });
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    const fresh = { REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', LOG_LEVEL: 'debug' } as const;
    service = await TestService.start({ ...fresh, ...options });
  };
  const offered = (version: string): Promise<void> =>
    until(async () => (await service.versionOf('gateway')) === version, `version ${version}`);
  const client = (running: string, more: Partial<SwupdateConfig> = {}): SwupdateClient =>
    new SwupdateClient(service.port, {
      url: '/swupdate/gateway',
      logurl: '/swupdate/gateway/log',
      identify: { board: 'h3board', hwrev: '1.0', unit: 'SN-1', running },
      logevent: LOGEVENT,
      ...more,
    });
  const happened = (): string[] =>
    service.logs.flatMap(({ event, unit, version }) =>
      event?.startsWith('unit.') && event !== 'unit.checked' ? [`${event} ${String(unit)} ${String(version)}`] : [],
    );

  it('lives through a life: unknown, offered, cut, resumed, installed, up to date, updated, failed, registry away, wrong hardware', async () => {
    registry.remove('gateway');
    await start({ WEBHOOK_SECRET: 'a-secret-of-16-characters' });
    expect(await client('0.9.0').poll()).toMatchObject({ result: 'no update' });
    registry.push('gateway', '1.0.0', first);
    const hook = '/webhooks/generic?token=a-secret-of-16-characters';
    await service.api.post(hook).send({ repository: 'gateway' }).expect(200);
    await offered('1.0.0');
    const installed = await client('0.9.0').poll({ cutAfter: 100_000 });
    expect({ result: installed.result, isWhole: installed.image?.equals(first) }).toEqual({
      result: 'installed',
      isWhole: true,
    });
    expect(await client('1.0.0').poll()).toMatchObject({ result: 'no update', status: 404 });
    registry.push('gateway', '1.1.0', second);
    await offered('1.1.0');
    expect(await client('1.0.0').poll({ isGood: () => false })).toMatchObject({ result: 'failed' });
    expect(service.events('unit.failed')).toMatchObject([
      { unit: 'SN-1', version: '1.1.0', message: 'fail,SN-1,2026-11-25T18:11:23Z,h3board' },
    ]);
    // It would fail again at every poll.
    expect(await client('1.0.0').poll()).toMatchObject({ result: 'no update' });
    registry.push('gateway', '1.2.0', first);
    await offered('1.2.0');
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    const again = await client('1.0.0').poll();
    expect({ result: again.result, isWhole: again.image?.equals(first) }).toEqual({
      result: 'installed',
      isWhole: true,
    });
    // An image for another board.
    registry.fault = () => false;
    registry.pushFiles('gateway', '1.3.0', { 'x.swu': second }, { manifest: { 'vnd.otaflux.hardware': 'h5board:*' } });
    await offered('1.3.0');
    expect(await client('1.2.0').poll()).toMatchObject({ result: 'no update', status: 404 });
    expect(happened()).toEqual([
      'unit.offered SN-1 1.0.0',
      'unit.downloading SN-1 1.0.0',
      'unit.installed SN-1 1.0.0',
      'unit.offered SN-1 1.1.0',
      'unit.downloading SN-1 1.1.0',
      'unit.failed SN-1 1.1.0',
      'unit.withheld SN-1 1.1.0',
      'unit.offered SN-1 1.2.0',
      'unit.downloading SN-1 1.2.0',
      'unit.installed SN-1 1.2.0',
      'unit.withheld SN-1 1.3.0',
    ]);
  });

  it.each([
    ['running=1.0.0', 404],
    ['version=1.0.0', 404],
    ['sw_version=v1.0.0', 404],
    ['running=0.9.0&version=1.0.0', 302],
    ['fw=1.0.0', 302],
    ['running=1.0.0%2B1', 302],
    ['', 302],
    ['running=%00&unit=a', 302],
    ['unit=%0A', 400],
    ['serial=', 400],
  ])('is answered to %s with %d, and with Retry-After spelled so', async (query, status) => {
    await start();
    const connection = await RawClient.open(service.port);
    const answer = await connection.request(`GET /swupdate/gateway?${query} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect({ status: answer.status, isSpelled: /\r\nRetry-After: \d+\r\n/.test(answer.head) }).toEqual({
      status,
      isSpelled: true,
    });
    connection.close();
  });

  it.each([
    ['/swupdate/', 400],
    ['/swupdate/Gateway', 400],
    ['/swupdate/..%2f..%2fetc', 400],
    ['/swupdate/%', 400],
    ['/swupdate/other', 404],
    ['/swupdate/gateway/1.0.0.swu?sha256=0123456789abcdef', 404],
    ['/swupdate/gateway/9.9.9.swu', 404],
    ['/swupdate/gateway/.swu', 404],
    ['/swupdate/gateway/1.0.0.swu', 200],
    ['/swupdate', 404],
  ])('%s is answered with %d', async (path, status) => {
    await start();
    const answer = await service.fetch(path);
    await answer.arrayBuffer();
    expect(answer.status).toBe(status);
  });

  it('asks again after about five minutes, not all units at once', async () => {
    await start();
    const delays = new Set<number>();
    for (let i = 0; i < 30; i++) delays.add((await client('1.0.0').poll()).polldelay);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(270);
    expect(Math.max(...delays)).toBeLessThanOrEqual(330);
    expect(delays.size).toBeGreaterThan(3);
  });

  it('goes on with the release that it was offered, also if a newer one or another with its version comes', async () => {
    await start();
    const [one, other] = [await RawClient.open(service.port), await RawClient.open(service.port)];
    const get = (from: RawClient, target: string): ReturnType<RawClient['request']> =>
      from.request(`GET ${target} HTTP/1.1\r\nHost: x\r\nRange: bytes=200000-\r\n\r\n`);
    const { pathname, search } = new URL((await get(one, '/swupdate/gateway')).headers.get('location') ?? '');
    expect(pathname).toBe('/swupdate/gateway/1.0.0.swu');
    registry.push('gateway', '1.1.0', second);
    await offered('1.1.0');
    for (const connection of [one, other]) {
      const rest = await get(connection, `${pathname}${search}`);
      expect({ status: rest.status, isRest: rest.body.equals(first.subarray(200_000)) }).toEqual({
        status: 206,
        isRest: true,
      });
    }
    registry.repository('gateway').tags.delete('1.1.0');
    registry.push('gateway', '1.0.0', second);
    await until(
      async () => Number((await (await service.version('gateway')).text()).split('\n')[2]) === second.length,
      'it',
    );
    expect((await get(await RawClient.open(service.port), `${pathname}${search}`)).status).toBe(404);
    expect((await get(one, `${pathname}${search}`)).body.equals(first.subarray(200_000))).toBe(true);
    one.close();
    other.close();
  });

  it.each([
    ['#13,2026-11-25T18:11:23Z,1.0.0', 204, 0],
    ['success,SN-2', 204, 1],
    ['success , SN-2 ,1.0.0', 204, 1],
    ['success,2026-11-25T18:11:23Z', 204, 0],
    ['check,SN-2', 204, 0],
    ['#2', 204, 0],
    ['', 400, 0],
    ['installed,SN-2', 400, 0],
    ['constructor,SN-2', 400, 0],
    [`success,${'x'.repeat(200)}`, 204, 0],
    ['x'.repeat(70_000), 413, 0],
  ])('sends a line, number %#, which is answered as it deserves', async (line, status, reports) => {
    await start();
    expect(await client('0.9.0').put('/swupdate/gateway/log', line)).toBe(status);
    expect(service.events('unit.installed')).toHaveLength(reports);
  });

  it('names its unit in the query of logurl, where the line does not', async () => {
    await start();
    expect(await client('0.9.0').put('/swupdate/gateway/log?serial=SN-3', '#14,2026-11-25T18:11:23Z,1.0.0')).toBe(204);
    expect(service.events('unit.failed')).toMatchObject([{ unit: 'SN-3' }]);
  });

  it('stores nothing of a product that does not exist', async () => {
    await start();
    expect(await client('0.9.0').put('/swupdate/other/log', 'fail,SN-3')).toBe(404);
    expect(service.events('unit.failed')).toEqual([]);
  });

  it('takes a product with a slash, and a link of PUBLIC_URL', async () => {
    registry.push('line-1/gateway', '1.0.0+b.1'.replace('+', '_'), first);
    await start({ PUBLIC_URL: 'https://ota.example.com' });
    const answer = await service.fetch('/swupdate/line-1/gateway', { redirect: 'manual' });
    const location = answer.headers.get('location') ?? '';
    expect(location).toMatch(
      /^https:\/\/ota\.example\.com\/swupdate\/line-1\/gateway\/1\.0\.0%2Bb\.1\.swu\?sha256=[0-9a-f]{16}$/,
    );
    const image = await service.fetch(location.replace('https://ota.example.com', ''));
    expect((await image.arrayBuffer()).byteLength).toBe(first.length);
    expect(await client('0.9.0').put('/swupdate/line-1/gateway/log', 'success,SN-1')).toBe(204);
    registry.remove('line-1/gateway');
  });

  it('needs credentials for polls and logs where access is restricted, and none for the image', async () => {
    const path = join(folder, 'tokens');
    writeFileSync(path, `gateway sha256:${hashToken('secret')}\n`);
    await start({ DEVICE_TOKENS_PATH: path });
    expect(await client('0.9.0').poll()).toMatchObject({ result: 'error', status: 401 });
    const known = client('0.9.0', { headers: ['Authorization: Bearer secret'] });
    const { result, location = '' } = await known.poll();
    expect(result).toBe('installed');
    expect(happened()).toContain('unit.installed SN-1 1.0.0');
    const { pathname, search } = new URL(location);
    for (const wrong of [search.replace('SN-1', 'SN-2'), search.replace(/expires=\d/, 'expires=9'), ''])
      expect([401, 403]).toContain((await service.fetch(`${pathname}${wrong}`)).status);
    expect(await client('0.9.0').put('/swupdate/gateway/log', 'fail,SN-1')).toBe(401);
  });

  it('has three routes in the metrics, whatever is asked for', async () => {
    await start();
    for (const path of ['/swupdate/gateway', '/swupdate/a/b/c', '/swupdate/gateway/1.0.0.swu'])
      await (await service.fetch(path, { redirect: 'manual' })).arrayBuffer();
    await client('0.9.0').put('/swupdate/gateway/log', 'check');
    const paths = [...(await service.metrics()).matchAll(/http_requests_total\{[^}]*path="(\/swupdate[^"]*)"/g)];
    expect(new Set(paths.map(([, path]) => path))).toEqual(
      new Set(['/swupdate/:product', '/swupdate/:product/:version.swu', '/swupdate/:product/log']),
    );
  });

  it.each(['POST', 'DELETE', 'PUT'])('%s is not allowed on the others', async (method) => {
    await start();
    expect((await service.fetch('/swupdate/gateway', { method })).status).toBe(405);
    expect((await service.fetch('/swupdate/gateway/1.0.0.swu', { method })).status).toBe(405);
    if (method !== 'PUT') expect((await service.fetch('/swupdate/gateway/log', { method })).status).toBe(405);
  });

  it('is answered with 404 where the protocol is off', async () => {
    await start({ PROTOCOLS: 'native' });
    registry.seen.length = 0;
    expect(await client('0.9.0').poll()).toMatchObject({ result: 'no update', polldelay: 30 });
    expect(registry.asked).toEqual([]);
  });
});
