import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clock } from '../../src/clock.js';
import { firmwareBytes } from '../support/bytes.js';
import { DdiUnit } from '../support/clients/ddi.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const first = firmwareBytes(50_000, 'first');
const second = firmwareBytes(60_000, 'second');
const registry = new FakeRegistry();
let service: TestService;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
beforeEach(() => {
  registry.fault = () => false;
  registry.push('gateway', '1.0.0', first, undefined, 'gateway.swu');
});
afterEach(async () => {
  await service.stop();
  registry.remove('gateway');
});

const start = async (options: TestOptions = {}): Promise<void> => {
  service = await TestService.start({
    REGISTRY_URL: registry.url,
    REFRESH_INTERVAL: '0',
    LOG_LEVEL: 'debug',
    ...options,
  });
};
const unit = (name = 'unit-1', headers = {}, tenant = 'gateway'): DdiUnit =>
  new DdiUnit(() => service, name, 'gateway', headers, tenant);
const push = async (version: string, firmware: Buffer): Promise<void> => {
  registry.push('gateway', version, firmware, undefined, 'gateway.swu');
  await until(async () => (await service.versionOf('gateway')) === version, `version ${version}`);
};
const failure = async (response: Response): Promise<unknown> => ({
  status: response.status,
  type: response.headers.get('content-type'),
  ...((await response.json()) as object),
});

describe('a poll', () => {
  it('is answered with the interval, configData and the deployment', async () => {
    await start({ POLL_INTERVAL: '5m' });
    expect(await unit().poll()).toEqual({
      config: { polling: { sleep: '00:05:00' } },
      _links: {
        deploymentBase: {
          href: expect.stringMatching(
            new RegExp(`^${service.url}/gateway/controller/v1/unit-1/deploymentBase/[1-9]\\d+$`),
          ) as unknown as string,
        },
        configData: { href: `${service.url}/gateway/controller/v1/unit-1/configData` },
      },
    });
  });

  it('has no _links if there is nothing to do', async () => {
    await start();
    const { unit: name } = unit();
    await unit(name).configure({ version: '1.0.0' });
    expect(Object.keys(await unit(name).poll())).toEqual(['config']);
  });

  it.each([
    ['5m', /^00:05:00$/],
    ['23h59m59s', /^23:59:59$/],
    ['gateway=1h,*=5m', /^01:00:00$/],
    ['other=1h,gate*=90s,*=5m', /^00:01:30$/],
    ['other=1h', /^00:0[45]:\d\d$/],
    ['10m~50%', /^00:(?:0[5-9]|1[0-5]):\d\d$/],
    ['23h~99%', /^[0-2]\d:\d\d:\d\d$/],
    ['1s~50%', /^00:00:0[12]$/],
  ])('with POLL_INTERVAL %s comes again after %s', async (interval, expected) => {
    await start({ POLL_INTERVAL: interval });
    const sleeps = new Set<string>();
    for (let polls = 0; polls < 20; polls++) sleeps.add((await unit().poll()).config.polling.sleep);
    for (const sleep of sleeps) expect(sleep).toMatch(expected);
    if (interval.includes('10m~')) expect(sleeps.size).toBeGreaterThan(5);
  });

  it('of a product without a release gets 404 in the form of hawkBit', async () => {
    await start();
    const nobody = new DdiUnit(() => service, 'unit-1', 'nope');
    expect(await failure(await nobody.send('GET'))).toEqual({
      status: 404,
      type: 'application/json',
      exceptionClass: 'org.eclipse.hawkbit.repository.exception.EntityNotFoundException',
      errorCode: 'hawkbit.server.error.repo.entitiyNotFound',
      message: "No firmware for device 'nope'",
    });
    expect(await nobody.status('PUT', '/configData', { data: { a: 'b' } })).toBe(404);
    expect(await nobody.state()).toBeUndefined();
  });

  it('may carry what SWUpdate sends with every GET', async () => {
    await start();
    const client = await RawClient.open(service.port);
    const { status } = await client.request(
      `GET ${unit().base} HTTP/1.1\r\nHost: x\r\nUser-Agent: libcurl-agent/1.0\r\nContent-Type: application/json\r\nAccept: application/json\r\ncharsets: utf-8\r\ncharsets: utf-8\r\n\r\n`,
    );
    expect(status).toBe(200);
    client.close();
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH'])('by %s gets 405', async (method) => {
    await start();
    expect(await unit().status(method)).toBe(405);
  });

  it('is no route where the protocol is off', async () => {
    await start({ PROTOCOLS: 'native,arduino' });
    expect(await unit().status('GET')).toBe(404);
    expect(await (await unit().send('GET')).text()).not.toContain('hawkbit');
  });

  it('counts as one route for all units', async () => {
    await start();
    await unit('unit-a').poll();
    await unit('unit-b').action();
    const metrics = await service.metrics();
    expect(metrics).toContain('path="/:tenant/controller/v1/:unit"');
    expect(metrics).toContain('path="/:tenant/controller/v1/:unit/deploymentBase/:action"');
    expect(metrics).not.toMatch(/path="[^"]*unit-[ab]/);
  });
});

describe('the tenant', () => {
  it.each(['DEFAULT', 'default', 'Default', 'gateway', 'GATEWAY', 'GateWay'])(
    '%s is the product, and links are spelled so',
    async (tenant) => {
      await start({ DDI_DEFAULT_PRODUCT: 'gateway' });
      const asked = unit('unit-1', {}, tenant);
      const id = await asked.action();
      const text = await (await asked.send('GET', `/deploymentBase/${id}`)).text();
      expect(text).toContain(`${service.url}/${tenant}/controller/v1/unit-1/softwaremodules/`);
      expect(await unit().action()).toBe(id);
    },
  );

  it('DEFAULT is no product without DDI_DEFAULT_PRODUCT', async () => {
    await start();
    expect(await unit('unit-1', {}, 'DEFAULT').status('GET')).toBe(404);
  });

  it.each(['line-1/sensor', 'line-1%2Fsensor', 'LINE-1%2fSensor'])('may have slashes: %s', async (tenant) => {
    registry.push('line-1/sensor', '1.0.0', first);
    await start();
    const sensor = new DdiUnit(() => service, 'unit-1', 'line-1/sensor', {}, tenant);
    const id = await sensor.action();
    const { href } = (await artifactOf(sensor, id))._links.download;
    expect(new URL(href).pathname).toMatch(new RegExp(`^/${tenant}/controller/v1/unit-1/`));
    expect((await bytesOf(await service.fetch(new URL(href).pathname))).equals(first)).toBe(true);
  });

  it.each([
    ['/gateway/controller/v1/', 400],
    ['/gateway/controller/v1//configData', 400],
    ['/../controller/v1/unit-1', 400],
    ['/%2e%2e/controller/v1/unit-1', 400],
    ['//controller/v1/unit-1', 400],
    ['/gate%way/controller/v1/unit-1', 400],
    ['/gateway/controller/v1/unit%00', 400],
    [`/gateway/controller/v1/${'u'.repeat(129)}`, 400],
    ['/gateway/controller/v1/unit-1/nothing', 404],
    ['/gateway/controller/v1/unit-1/deploymentBase', 404],
    ['/gateway/controller/v1/unit-1/deploymentBase/1/2/3', 404],
    ['/gateway/controller/v1/unit-1/softwaremodules/12/artifacts/../../x', 404],
  ])('%s gets %d', async (path, status) => {
    await start();
    const client = await RawClient.open(service.port);
    expect((await client.request(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)).status).toBe(status);
    client.close();
  });
});

interface ArtifactAnswer {
  readonly filename: string;
  readonly size: number;
  readonly hashes: Record<string, string>;
  readonly _links: Record<string, { readonly href: string }> & { readonly download: { readonly href: string } };
}
const artifactOf = async (asked: DdiUnit, id: string): Promise<ArtifactAnswer> => {
  const answer = (await (await asked.send('GET', `/deploymentBase/${id}`)).json()) as {
    deployment: { chunks: { artifacts: ArtifactAnswer[] }[] };
  };
  const artifact = answer.deployment.chunks[0]?.artifacts[0];
  if (!artifact) throw new Error('no artifact');
  return artifact;
};
const bytesOf = async (response: Response): Promise<Buffer> => {
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
};

describe('a deployment', () => {
  it('that was handed out is delivered, also where no further download may start: units would report a failure', async () => {
    registry.push('big', '1.0.0', firmwareBytes(40_000_000, 'big'));
    await start({ MAX_DOWNLOADS: '1' });
    const id = await unit().action();
    const href = (await artifactOf(unit(), id))._links.download.href;
    const slow = await RawClient.open(service.port);
    slow.socket.pause();
    slow.send('GET /firmware?device=big HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(async () => (await service.versionOf('gateway')) === 503, 'the limit');
    expect((await fetch(href, { method: 'HEAD' })).status).toBe(200);
    expect((await bytesOf(await fetch(href))).equals(first)).toBe(true);
    expect((await fetch(href, { headers: { range: 'bytes=100-' } })).status).toBe(206);
    expect(await unit().feedback(id, 'closed', 'success')).toBe(200);
    expect((await fetch(href)).status).toBe(503);
    slow.close();
    registry.remove('big');
  });

  it('is not downloaded again by a unit that runs it: it would install it for ever', async () => {
    await start();
    const id = await unit().action();
    const { href } = (await artifactOf(unit(), id))._links.download;
    await bytesOf(await fetch(href));
    await unit().configure({ sw_version: '1.0.0' });
    expect(await unit().action()).toBe(id);
    expect((await fetch(href, { method: 'HEAD' })).status).toBe(200);
    expect((await fetch(href)).status).toBe(410);
    expect(await unit().link()).toBeUndefined();
    expect(await unit().feedback(id, 'closed', 'failure')).toBe(410);
    expect(await unit().state()).toMatchObject({ running: '1.0.0', outcome: { outcome: 'installed' } });
  });

  it('has the one form that all clients take', async () => {
    await start();
    const id = await unit().action();
    const response = await unit().send('GET', `/deploymentBase/${id}?c=12&actionHistory=10`);
    const href = expect.stringMatching(
      `^${service.url}/gateway/controller/v1/unit-1/softwaremodules/${id}/artifacts/gateway.swu$`,
    ) as unknown as string;
    const hash = (name: string): string => createHash(name).update(first).digest('hex');
    expect(await response.json()).toEqual({
      id,
      deployment: {
        download: 'forced',
        update: 'forced',
        chunks: [
          {
            part: 'bApp',
            version: '1.0.0',
            name: 'gateway',
            artifacts: [
              {
                filename: 'gateway.swu',
                size: first.length,
                hashes: { sha1: hash('sha1'), md5: hash('md5'), sha256: hash('sha256') },
                _links: { download: { href }, 'download-http': { href } },
              },
            ],
          },
        ],
      },
    });
  });

  it('has fewer than 1,100 bytes, also with long names and signed links', async () => {
    registry.push('acme/line-1/gateway-mk2', '10.20.30-rc.1_build.42', first, undefined, 'gateway-mk2-10.20.30.swu');
    await start({ DEVICE_URL_SECRET: 'a-secret-of-16-characters', PUBLIC_URL: 'https://ota.example.com:8443' });
    const query = await signedQueryOf('acme/line-1/gateway-mk2');
    const asked = new DdiUnit(() => service, `board-name-${'0123456789abcdef'.repeat(2)}`, 'acme/line-1/gateway-mk2');
    const poll = (await (await asked.send('GET', query)).json()) as { _links: { deploymentBase: { href: string } } };
    const { pathname } = new URL(poll._links.deploymentBase.href);
    const text = await (await service.fetch(`${pathname}${query}`)).text();
    expect(text).toContain('signature=');
    expect(text.length).toBeLessThan(1_100);
  });

  it('has an id that every client can read, the same on every server, and another for each unit and release', async () => {
    await start();
    const units = Array.from({ length: 300 }, (_, index) => unit(`unit-${index}`));
    const ids = await Promise.all(units.map((asked) => asked.action()));
    for (const id of ids) {
      expect(Number(id)).toBeGreaterThanOrEqual(10);
      expect(Number(id)).toBeLessThanOrEqual(2_147_483_647);
      expect(id).toMatch(/^[1-9]\d*[1-9]\d*$/);
    }
    expect(new Set(ids).size).toBe(ids.length);
    await service.stop();
    await start();
    expect(await Promise.all(units.map((asked) => asked.action()))).toEqual(ids);
    await push('1.1.0', second);
    expect(ids).not.toContain(await unit('unit-x').action());
  });

  it('is downloaded below the path of the tenant, by HEAD, in ranges, and has a checksum', async () => {
    await start();
    const id = await unit().action();
    const { href } = (await artifactOf(unit(), id))._links.download;
    const { pathname } = new URL(href);
    const before = registry.count('blob');
    const head = await service.fetch(pathname, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(first.length)]);
    expect((await unit().state())?.notes).not.toHaveProperty('started');
    const part = await service.fetch(pathname, { headers: { Range: 'bytes=40000-' } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 40000-49999/${first.length}`]);
    expect(Buffer.from(await part.arrayBuffer()).equals(first.subarray(40_000))).toBe(true);
    expect((await bytesOf(await service.fetch(pathname))).equals(first)).toBe(true);
    const md5 = createHash('md5').update(first).digest('hex');
    expect(await (await service.fetch(`${pathname}.MD5SUM`)).text()).toBe(`${md5}  gateway.swu`);
    expect(await (await service.fetch(pathname.replace(/\/[^/]*$/, ''))).json()).toEqual([
      await artifactOf(unit(), id),
    ]);
    expect((await service.fetch(`${pathname}x`)).status).toBe(404);
    expect(registry.count('blob')).toBe(before);
  });

  it('stays what it was, also for one that downloads it after a newer release', async () => {
    await start();
    const id = await unit().action();
    const { pathname } = new URL((await artifactOf(unit(), id))._links.download.href);
    await push('1.1.0', second);
    expect((await bytesOf(await service.fetch(pathname))).equals(first)).toBe(true);
  });

  it('of somebody else is not found', async () => {
    await start();
    const id = await unit().action();
    for (const path of [`/deploymentBase/${id}`, `/softwaremodules/${id}/artifacts/gateway.swu`, `/cancelAction/${id}`])
      expect(await unit('unit-2').status('GET', path)).toBe(404);
  });
});

/** Signed by the service itself, as its links are. */
const signedQueryOf = async (product: string): Promise<string> => {
  const { signedQuery } = await import('../../src/signed-url.js');
  const expires = Math.ceil(Date.now() / 1000) + 3_600;
  return `?${signedQuery('a-secret-of-16-characters', product, expires)}`;
};

describe('feedback', () => {
  it('closes the action: then the release is not offered again, but a newer one is', async () => {
    await start();
    const id = await unit().action();
    for (const execution of ['scheduled', 'download', 'downloaded', 'proceeding', 'resumed', 'rejected', 'canceled'])
      expect(await unit().feedback(id, execution)).toBe(200);
    expect(await unit().link()).toBe(`deploymentBase/${id}`);
    expect(await unit().feedback(id, 'closed', 'success')).toBe(200);
    expect(await unit().link()).toBeUndefined();
    expect(await unit().state()).toMatchObject({
      running: '1.0.0',
      outcome: { outcome: 'installed', version: '1.0.0' },
      protocol: 'ddi',
    });
    await push('1.1.0', second);
    expect(await unit().action()).not.toBe(id);
  });

  it('of failure closes it, too, until the operator or a newer release says so', async () => {
    await start();
    const id = await unit().action();
    const lines = Array.from({ length: 48 }, (_, index) => `[ERROR] line ${index} ${'x'.repeat(100)}`);
    expect(await unit().feedback(id, 'closed', 'failure', lines)).toBe(200);
    expect(await unit().link()).toBeUndefined();
    const { outcome } = (await unit().state()) ?? {};
    expect(outcome).toMatchObject({ outcome: 'failed', version: '1.0.0' });
    expect(outcome?.message).toContain('line 47');
    expect(outcome?.message?.length).toBeLessThanOrEqual(500);
    await unit().configure({ version: '0.9.0' });
    expect(await unit().link()).toBeUndefined();
    expect(await unit().status('GET', `/deploymentBase/${id}`)).toBe(404);
    await push('1.1.0', second);
    expect(await unit().link()).toMatch(/^deploymentBase/);
  });

  it('of failure is forgotten by otaflux units retry: the unit tries again, as another action', async () => {
    await start();
    const id = await unit().action();
    await unit().feedback(id, 'closed', 'failure', ['no space']);
    const retried = await service.management.post('/units/retry').query({ product: 'gateway', unit: 'unit-1' });
    expect([retried.status, retried.body]).toMatchObject([
      200,
      { product: 'gateway', unit: 'unit-1', forgotten: { outcome: 'failed', version: '1.0.0', message: 'no space' } },
    ]);
    const again = await unit().action();
    expect(again).not.toBe(id);
    expect(await unit().feedback(id, 'closed', 'failure')).toBe(410);
    expect(await unit().feedback(again, 'closed', 'success')).toBe(200);
    expect(await unit().link()).toBeUndefined();
    for (const [query, status] of [
      [{ product: 'gateway', unit: 'nobody' }, 404],
      [{ product: 'gateway' }, 400],
      [{ product: 'GATEWAY', unit: 'unit-1' }, 400],
    ] as const)
      expect((await service.management.post('/units/retry').query(query)).status).toBe(status);
    expect((await service.api.post('/units/retry').query({ product: 'gateway', unit: 'unit-1' })).status).toBe(404);
  });

  it('that never comes leaves no unit stuck: retry makes a new action of an open one', async () => {
    await start();
    const id = await unit().action();
    await service.management.post('/units/retry').query({ product: 'gateway', unit: 'unit-1' }).expect(200);
    const again = await unit().action();
    expect(again).not.toBe(id);
    expect(await unit().action()).toBe(again);
    expect(await unit().feedback(id, 'closed', 'failure')).toBe(404);
  });

  it('before the end explains a failure', async () => {
    await start();
    const id = await unit().action();
    await unit().feedback(id, 'proceeding', 'none', ['[ERROR] : HASH mismatch', '[INFO] : Swupdate was here']);
    await unit().feedback(id, 'proceeding', 'none', ['All right.']);
    await unit().feedback(id, 'closed', 'failure', ['No suitable .swu image found']);
    expect(await unit().state()).toMatchObject({
      outcome: { message: '[ERROR] : HASH mismatch | No suitable .swu image found' },
    });
  });

  it.each([
    ['a number', 12],
    ['text', '12'],
    ['nothing', undefined],
    ['null', null],
    ['the id of another action', '99'],
  ])('may have %s as the id in its body', async (_what, id) => {
    await start();
    const action = await unit().action();
    const status = { execution: 'closed', result: { finished: 'success', progress: { cnt: 1, of: 2 } }, code: 200 };
    const response = await unit().send('POST', `/deploymentBase/${action}/feedback`, { id, time: '', status });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(await unit().link()).toBeUndefined();
  });

  it('that is wrong changes nothing', async () => {
    await start();
    const id = await unit().action();
    const before = await unit().state();
    const path = `/deploymentBase/${id}/feedback`;
    const wrong: [unknown, number][] = [
      ['', 400],
      ['{', 400],
      ['[]', 400],
      [{}, 400],
      [{ status: {} }, 400],
      [{ status: { execution: 'closed' } }, 400],
      [{ status: { execution: 'closed', result: {} } }, 400],
      [{ status: { execution: 'exploded', result: { finished: 'success' } } }, 400],
      [{ status: { execution: 'closed', result: { finished: 'perhaps' } } }, 400],
      [{ status: { execution: 'closed', result: { finished: 'failure' }, details: ['x'.repeat(70_000)] } }, 413],
    ];
    for (const [body, status] of wrong) expect(await unit().status('POST', path, body)).toBe(status);
    for (const other of ['1', '9', '0', '12', '2147483648', '1e3', '-5', '%00', '99999999999999999999', 'abc'])
      expect(await unit().feedback(other, 'closed', 'failure')).toBe(404);
    expect(await unit('unit-2').feedback(id, 'closed', 'failure')).toBe(404);
    expect(await unit('unit-2').state()).toBeUndefined();
    expect(await unit().cancelFeedback(id, 'closed')).toBe(404);
    expect({ ...(await unit().state()), lastSeenMs: 0 }).toEqual({ ...before, lastSeenMs: 0 });
    expect(await unit().link()).toBe(`deploymentBase/${id}`);
  });

  it('that is replayed gets 410, and changes nothing', async () => {
    await start();
    const id = await unit().action();
    await unit().feedback(id, 'closed', 'success');
    const { outcome } = (await unit().state()) ?? {};
    expect(await failure(await unit().send('POST', `/deploymentBase/${id}/feedback`, CLOSED_FAILURE))).toMatchObject({
      status: 410,
      message: 'This action is over',
    });
    expect(await unit().feedback(id, 'proceeding')).toBe(410);
    expect(await unit().cancelFeedback(id, 'closed')).toBe(410);
    expect((await unit().state())?.outcome).toEqual(outcome);
  });

  it('is taken for an action that the server has forgotten', async () => {
    await start();
    const id = await unit().action();
    await service.stop();
    await start();
    expect(await unit().feedback(id, 'closed', 'success')).toBe(200);
    expect(await unit().state()).toMatchObject({ running: '1.0.0', outcome: { outcome: 'installed' } });
  });

  it('is taken while the registry is away, and while polls are over their limit', async () => {
    await start({ DEVICE_RATE_LIMIT: '1/s', ADDRESS_RATE_LIMIT: '2/s' });
    const id = await unit().action();
    await until(async () => (await unit().status('GET')) === 429, 'the limit');
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    for (let reports = 0; reports < 25; reports++) expect(await unit().feedback(id, 'proceeding')).toBe(200);
    expect(await unit().feedback(id, 'closed', 'success')).toBe(200);
    expect((await unit().state())?.outcome).toMatchObject({ outcome: 'installed' });
  });
});

const CLOSED_FAILURE = { status: { execution: 'closed', result: { finished: 'failure' } } };

describe('configData', () => {
  it('is asked for once, and taken unasked', async () => {
    await start();
    expect((await unit().poll())._links).toHaveProperty('configData');
    const response = await unit().send('PUT', '/configData', { mode: null, data: { board: 'h3', version: '0.9.0' } });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect((await unit().poll())._links).not.toHaveProperty('configData');
    expect(await unit().state()).toMatchObject({ running: '0.9.0', hardware: 'h3' });
    expect(await unit().configure({ colour: 'red' }, 'merge')).toBe(200);
    expect((await unit().state())?.attributes).toEqual({ board: 'h3', version: '0.9.0', colour: 'red' });
    expect(await unit().configure({ board: '' }, 'remove')).toBe(200);
    expect((await unit().state())?.attributes).toEqual({ version: '0.9.0', colour: 'red' });
    expect(await unit().configure({ a: 'b' }, 'replace')).toBe(200);
    expect((await unit().state())?.attributes).toEqual({ a: 'b' });
    expect(await unit().configure({ a: 'b' }, 'explode')).toBe(400);
    expect(await unit().status('PUT', '/configData', { data: ['a'] })).toBe(400);
    expect(await unit().status('POST', '/configData', { data: {} })).toBe(405);
  });

  it.each(['version', 'sw_version', 'swVersion', 'running'])('names what the unit runs by %s', async (name) => {
    await start();
    await unit().configure({ [name]: 'v1.0.0' });
    expect(await unit().link()).toBeUndefined();
  });

  it('that says that the unit runs the release does not close its action: SWUpdate reports later', async () => {
    await start();
    await unit().configure({ sw_version: '0.9.0' });
    const id = await unit().action();
    expect(await unit().feedback(id, 'proceeding')).toBe(200);
    await unit().configure({ sw_version: '1.0.0' });
    expect(await unit().state()).toMatchObject({ running: '1.0.0', outcome: { outcome: 'installed' } });
    expect(await unit().link()).toBe(`deploymentBase/${id}`);
    expect(await unit().feedback(id, 'closed', 'failure')).toBe(200);
    expect(await unit().state()).toMatchObject({ outcome: { outcome: 'failed' } });
    expect(await unit().link()).toBeUndefined();
  });

  it('closes the action of a unit that begins the same release again: it would install it for ever', async () => {
    await start();
    const id = await unit().action();
    await unit().feedback(id, 'proceeding');
    await unit().configure({ sw_version: '1.0.0' });
    expect(await unit().action()).toBe(id);
    expect(await unit().feedback(id, 'proceeding')).toBe(410);
    expect(await unit().link()).toBeUndefined();
    expect(await unit().state()).toMatchObject({ outcome: { outcome: 'installed' } });
  });

  it('of a unit that goes on naming the old version does not make it install again', async () => {
    await start();
    const id = await unit().action();
    await unit().feedback(id, 'closed', 'success');
    await unit().configure({ version: '0.9.0' });
    expect(await unit().link()).toBeUndefined();
  });
});

describe('a newer release', () => {
  it('comes after the cancellation of the older action', async () => {
    await start();
    const id = await unit().action();
    await push('1.1.0', second);
    expect(await unit().link()).toBe(`cancelAction/${id}`);
    const { href } = (await unit().poll())._links?.cancelAction ?? { href: '' };
    expect(href).not.toContain('?');
    expect(await (await unit().send('GET', href)).json()).toEqual({ id, cancelAction: { stopId: id } });
    expect(await unit().status('GET', `/deploymentBase/${id}`)).toBe(404);
    expect(await unit().cancelFeedback(id, 'proceeding', 'none')).toBe(200);
    expect(await unit().link()).toBe(`cancelAction/${id}`);
    expect(await unit().cancelFeedback(id, 'closed')).toBe(200);
    expect(await unit().cancelFeedback(id, 'closed')).toBe(410);
    expect(await unit().feedback(id, 'closed', 'failure')).toBe(410);
    expect(await unit().state()).not.toMatchObject({ outcome: { outcome: 'failed' } });
    expect(await unit().action()).not.toBe(id);
  });

  it('is offered at once if the older one was never handed out', async () => {
    await start();
    const link = await unit().link();
    await push('1.1.0', second);
    const newer = await unit().link();
    expect(newer).toMatch(/^deploymentBase/);
    expect(newer).not.toBe(link);
  });

  it('with the manifest of the older one is the same release', async () => {
    await start();
    const id = await unit().action();
    await push('1.0.1', first);
    expect(await unit().link()).toBe(`deploymentBase/${id}`);
    await unit().feedback(id, 'closed', 'success');
    expect(await unit().link()).toBeUndefined();
  });

  it('waits for a unit that cannot cancel any more', async () => {
    await start();
    const id = await unit().action();
    await push('1.1.0', second);
    await unit().link();
    expect(await unit().cancelFeedback(id, 'rejected')).toBe(200);
    expect(await unit().link()).toBe(`deploymentBase/${id}`);
    expect((await artifactOf(unit(), id)).size).toBe(first.length);
    expect(await unit().feedback(id, 'closed', 'success')).toBe(200);
    expect(await unit().state()).toMatchObject({ running: '1.0.0', outcome: { version: '1.0.0' } });
    expect(await unit().link()).toMatch(/^deploymentBase/);
    expect(await unit().link()).not.toBe(`deploymentBase/${id}`);
  });

  it.each(['asked', 'rejected', 'clock'])('does not wait for ever for a unit that never answers: %s', async (how) => {
    await start();
    const id = await unit().action();
    await push('1.1.0', second);
    expect(await unit().link()).toBe(`cancelAction/${id}`);
    if (how === 'rejected') await unit().cancelFeedback(id, 'rejected');
    const clock = service.service.app.get(Clock, { strict: false });
    const nowMs = Date.now();
    clock.nowMs = () => nowMs + (how === 'clock' ? -1 : 1) * (86_400_000 + 60_000);
    expect(await unit().link()).toMatch(/^deploymentBase/);
    expect(await unit().link()).not.toBe(`deploymentBase/${id}`);
  });

  it('is not credited with the success of the cancelled one, which SWUpdate reports after a reboot', async () => {
    await start();
    const id = await unit().action();
    await unit().feedback(id, 'proceeding');
    await push('1.1.0', second);
    await unit().link();
    await unit().cancelFeedback(id, 'closed');
    const newer = await unit().action();
    expect(await unit().feedback(newer, 'closed', 'success')).toBe(200);
    expect(await unit().state()).toMatchObject({ running: '1.0.0', outcome: { version: '1.0.0' } });
    expect(await unit().link()).toBe(`deploymentBase/${newer}`);
    expect(await unit().feedback(newer, 'proceeding')).toBe(200);
    expect(await unit().feedback(newer, 'closed', 'success')).toBe(200);
    expect(await unit().state()).toMatchObject({ running: '1.1.0', outcome: { version: '1.1.0' } });
    expect(await unit().link()).toBeUndefined();
  });

  it('that is taken back makes the older action go on', async () => {
    await start();
    const id = await unit().action();
    await push('1.1.0', second);
    expect(await unit().link()).toBe(`cancelAction/${id}`);
    registry.repository('gateway').tags.delete('1.1.0');
    await until(async () => (await service.versionOf('gateway')) === '1.0.0', 'the older one');
    expect(await unit().link()).toBe(`deploymentBase/${id}`);
  });
});

describe('a release with conditions', () => {
  const pushFor = (version: string, annotations: Record<string, string>): unknown =>
    registry.pushFiles('gateway', version, { 'gateway.swu': firmwareBytes(9_000, version) }, { manifest: annotations });

  it('is reached by steps, each of which the unit may report before the next one', async () => {
    pushFor('2.0.0', { 'vnd.otaflux.requires': '>=1.0.0' });
    await start();
    await unit().configure({ version: '0.9.0' });
    const stone = await unit().action();
    expect(await unit().state()).toMatchObject({ notes: { version: '1.0.0' } });
    await unit().feedback(stone, 'proceeding');
    await unit().configure({ version: '1.0.0' });
    // It still tests itself.
    expect(await unit().link()).toBe(`deploymentBase/${stone}`);
    expect(await unit().action()).toBe(stone);
    expect(await unit().feedback(stone, 'closed', 'success')).toBe(200);
    const next = await unit().action();
    expect(next).not.toBe(stone);
    expect(await unit().state()).toMatchObject({ running: '1.0.0', notes: { version: '2.0.0' } });
    await unit().feedback(next, 'closed', 'success');
    expect(await unit().link()).toBeUndefined();
    expect(await unit().state()).toMatchObject({
      running: '2.0.0',
      outcome: { outcome: 'installed', version: '2.0.0' },
    });
  });

  it('does not wait for ever for the report of a step', async () => {
    pushFor('2.0.0', { 'vnd.otaflux.requires': '>=1.0.0' });
    await start();
    await unit().configure({ version: '0.9.0' });
    const stone = await unit().action();
    await unit().feedback(stone, 'proceeding');
    await unit().configure({ version: '1.0.0' });
    expect(await unit().link()).toBe(`deploymentBase/${stone}`);
    const clock = service.service.app.get(Clock, { strict: false });
    const nowMs = Date.now();
    clock.nowMs = () => nowMs + 3_600_000 + 60_000;
    expect(await unit().link()).toBe(`cancelAction/${stone}`);
    expect(await unit().cancelFeedback(stone, 'closed')).toBe(200);
    expect(await unit().link()).not.toBe(`deploymentBase/${stone}`);
  });

  it('for other hardware is not offered, and an action that was begun is cancelled', async () => {
    pushFor('1.1.0', { 'vnd.otaflux.hardware': 'rev-b' });
    await start();
    await unit('other').configure({ hardware: 'rev-a' });
    expect(await unit('other').link()).toBeUndefined();
    expect(service.events('unit.withheld')[0]).toMatchObject({ unit: 'other', version: '1.1.0' });
    expect(await unit('other').status('GET', '/deploymentBase/1234567')).toBe(404);
    const id = await unit().action();
    await unit().configure({ hardware: 'rev-a' });
    expect(await unit().link()).toBe(`cancelAction/${id}`);
    expect(await unit().status('GET', `/deploymentBase/${id}`)).toBe(404);
    expect(await unit().cancelFeedback(id, 'closed')).toBe(200);
    expect(await unit().link()).toBeUndefined();
  });
});

describe('a repository that was withdrawn', () => {
  beforeEach(() => {
    // Only the clock of durations.
    jest.useFakeTimers({
      doNotFake: [
        ...(['Date', 'hrtime', 'nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate'] as const),
        ...(['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] as const),
      ],
    });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('makes units cancel what they have not installed, and takes their reports', async () => {
    await start();
    const [id, other] = [await unit().action(), await unit('other').action()];
    registry.remove('gateway');
    await until(async () => {
      jest.advanceTimersByTime(31_000);
      return (await service.versionOf('gateway')) === 404;
    }, 'the withdrawal');
    expect(await unit().link()).toBe(`cancelAction/${id}`);
    expect(await unit().cancelFeedback(id, 'closed')).toBe(200);
    expect(await unit().status('GET')).toBe(404);
    expect(await unit('other').feedback(other, 'closed', 'success')).toBe(200);
    expect(await unit('other').state()).toMatchObject({ running: '1.0.0', outcome: { outcome: 'installed' } });
    expect(await unit('other').status('GET')).toBe(404);
    registry.push('gateway', '1.0.0', first, undefined, 'gateway.swu');
    await until(async () => {
      jest.advanceTimersByTime(31_000);
      return (await service.versionOf('gateway')) === '1.0.0';
    }, 'its return');
    expect(await unit().link()).toBe(`deploymentBase/${id}`);
    expect(await unit('other').link()).toBeUndefined();
  });
});

describe('the rest of DDI', () => {
  it('takes what a unit declares as installed', async () => {
    await start();
    expect(await unit().status('PUT', '/installedBase', { name: 'app', version: '1.0.0' })).toBe(200);
    expect(await unit().link()).toBeUndefined();
    expect(await unit().status('PUT', '/installedBase', { name: 'app' })).toBe(400);
  });

  it('shows the installed action', async () => {
    await start();
    const id = await unit().action();
    expect(await unit().status('GET', `/installedBase/${id}`)).toBe(404);
    await unit().feedback(id, 'closed', 'success');
    expect(await (await unit().send('GET', `/installedBase/${id}`)).json()).toMatchObject({ id });
  });

  it('needs no confirmations, but takes them: a denied action is not offered again', async () => {
    await start();
    expect(await (await unit().send('GET', '/confirmationBase')).json()).toEqual({ autoConfirm: { active: true } });
    expect(await unit().status('POST', '/activateAutoConfirm', {})).toBe(200);
    expect(await unit().status('POST', '/deactivateAutoConfirm')).toBe(200);
    const id = await unit().action();
    expect(await (await unit().send('GET', `/confirmationBase/${id}`)).json()).toMatchObject({ id });
    const confirm = (confirmation: string): Promise<number> =>
      unit().status('POST', `/confirmationBase/${id}/feedback`, { confirmation, code: 12, details: ['not now'] });
    expect(await confirm('perhaps')).toBe(400);
    expect(await confirm('confirmed')).toBe(200);
    expect(await unit().link()).toBe(`deploymentBase/${id}`);
    expect(await confirm('denied')).toBe(200);
    expect(await unit().link()).toBeUndefined();
    expect(await unit().state()).toMatchObject({ outcome: { outcome: 'rejected', message: 'not now' } });
  });
});

describe('credentials', () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-ddi-'));
  const path = join(folder, 'tokens');
  const hash = (token: string): string => createHash('sha256').update(token).digest('hex');
  beforeAll(() => {
    writeFileSync(path, `gateway sha256:${hash('token-of-gateway')}\nother sha256:${hash('token-of-other')}\n`);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it.each(['TargetToken', 'GatewayToken', 'Bearer'])(
    '%s is a token; downloads need only their link',
    async (scheme) => {
      await start({ DEVICE_TOKENS_PATH: path });
      const authorized = unit('unit-1', { Authorization: `${scheme} token-of-gateway` });
      const id = await authorized.action();
      const { pathname, search } = new URL((await artifactOf(authorized, id))._links.download.href);
      expect((await service.fetch(pathname)).status).toBe(401);
      expect((await bytesOf(await service.fetch(pathname + search))).equals(first)).toBe(true);
      expect((await bytesOf(await authorized.send('GET', `/softwaremodules/${id}/artifacts/gateway.swu`))).length).toBe(
        first.length,
      );
      const other = pathname.replace('unit-1', 'unit-2');
      expect((await service.fetch(other + search)).status).toBe(403);
      expect(await authorized.feedback(id, 'closed', 'success')).toBe(200);
    },
  );

  it('that are missing get 401 in the form of hawkBit, and those of another product 403', async () => {
    await start({ DEVICE_TOKENS_PATH: path });
    expect(await failure(await unit().send('GET'))).toMatchObject({
      status: 401,
      errorCode: expect.any(String) as unknown as string,
    });
    expect(await unit('unit-1', { Authorization: 'TargetToken token-of-other' }).status('GET')).toBe(403);
    expect(await unit().configure({ a: 'b' })).toBe(401);
    expect(await unit().state()).toBeUndefined();
  });
});
