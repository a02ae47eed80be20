import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashToken } from '../../src/device/access/credentials.js';
import { firmwareBytes } from '../support/bytes.js';
import { blocks, RaucClient, type Range, type RaucSystem } from '../support/clients/rauc.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const first = firmwareBytes(3_000_000, 'first.raucb');
const second = firmwareBytes(2_000_000, 'second.raucb');

/** What `[streaming] send-headers=boot-id;machine-id;system-version;serial;variant;uptime` sends. */
const headersOf = (version: string, serial = 'SN-1'): Record<string, string> => ({
  'RAUC-Boot-ID': 'c5ef4f0d-6d1c-4d35-9d43-f3b4f0bd5e49',
  'RAUC-Machine-ID': '7bcd8ef0cd1c4a5b9d3e0e8a8d7a1e5f',
  'RAUC-System-Version': version,
  'RAUC-Serial': serial,
  'RAUC-Variant': 'rev-b',
  'RAUC-Uptime': '12.34',
});

describe('RAUC with an HTTP URL', () => {
  const registry = new FakeRegistry();
  const clients: RaucClient[] = [];
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
    for (const one of clients.splice(0)) one.close();
    await service.stop();
    registry.remove('gateway');
    rmSync(folder, { recursive: true });
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    const fresh = { REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', LOG_LEVEL: 'debug' } as const;
    service = await TestService.start({ ...fresh, ...options });
  };
  const client = (more: Partial<RaucSystem> = {}): RaucClient => {
    const one = new RaucClient(service.port, { url: '/rauc/gateway', headers: headersOf('0.9.0'), ...more });
    clients.push(one);
    return one;
  };
  const offered = (version: string): Promise<void> =>
    until(async () => (await service.versionOf('gateway')) === version, `version ${version}`);
  /** Streams a bundle as the kernel reads it, and returns whether its bytes are those of `bundle`. */
  const streams = async (rauc: RaucClient, effectiveUrl: string, bundle: Buffer): Promise<boolean> => {
    const ranges = blocks(bundle.length);
    const pieces = await rauc.read(effectiveUrl, ranges, 6);
    return pieces.every((piece, index) => piece.equals(bundle.subarray(...(ranges[index] as [number, number]))));
  };

  it('lives through a life: unknown, offered, cut, resumed, up to date, updated, failed, registry away, wrong hardware', async () => {
    registry.remove('gateway');
    await start({ WEBHOOK_SECRET: 'a-secret-of-16-characters' });
    const rauc = client();
    expect(await rauc.poll()).toEqual({ result: 'not found' });
    registry.push('gateway', '1.0.0', first);
    const hook = '/webhooks/generic?token=a-secret-of-16-characters';
    await service.api.post(hook).send({ repository: 'gateway' }).expect(200);
    await offered('1.0.0');
    expect(await rauc.poll()).toMatchObject({ result: 'bundle', size: first.length });
    expect(await rauc.poll()).toEqual({ result: 'not modified' });
    const { effectiveUrl = '' } = await rauc.begin();
    // All connections are cut in the middle. The kernel goes on with new ones.
    const half = blocks(first.length).slice(0, 20);
    await rauc.read(effectiveUrl, half, 4);
    rauc.close();
    expect(await streams(rauc, effectiveUrl, first)).toBe(true);
    expect(new Set(rauc.statuses)).toEqual(new Set([206]));
    const updated = client({ headers: headersOf('1.0.0') });
    expect(await updated.poll()).toEqual({ result: 'no content' });
    registry.push('gateway', '1.1.0', second);
    await offered('1.1.0');
    expect(await updated.poll()).toMatchObject({ result: 'bundle', size: second.length });
    // A script of the integrator reports that the installation failed.
    const report = { outcome: 'failed', version: '1.1.0', message: 'no space left' };
    const sent = await service.fetch('/report?device=gateway&unit=SN-1', {
      method: 'POST',
      body: JSON.stringify(report),
    });
    expect(sent.status).toBe(204);
    expect(await updated.poll()).toEqual({ result: 'no content' });
    registry.push('gateway', '1.2.0', first);
    await offered('1.2.0');
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    const last = await updated.begin();
    expect(last).toMatchObject({ result: 'bundle', size: first.length });
    expect(await streams(updated, last.effectiveUrl ?? '', first)).toBe(true);
    registry.fault = () => false;
    expect(await client({ headers: headersOf('1.2.0') }).poll()).toEqual({ result: 'no content' });
    await until(() => service.events('unit.installed').length > 0, 'the installation');
    // A bundle for another variant.
    registry.pushFiles('gateway', '1.3.0', { 'x.raucb': second }, { manifest: { 'vnd.otaflux.hardware': 'other' } });
    await offered('1.3.0');
    const variant = { ...headersOf('1.2.0'), 'RAUC-Variant': 'gateway-a' };
    expect(await client({ headers: variant }).poll()).toEqual({ result: 'no content' });
    expect(service.events('unit.withheld').at(-1)).toMatchObject({ unit: 'SN-1', version: '1.3.0' });
    expect(service.events('unit.downloading').map(({ unit, version }) => `${String(unit)} ${String(version)}`)).toEqual(
      ['SN-1 1.0.0', 'SN-1 1.2.0'],
    );
  });

  it('streams one release on all connections, while a newer one is pushed', async () => {
    await start();
    const rauc = client();
    const { effectiveUrl = '' } = await rauc.begin();
    const stream = streams(rauc, effectiveUrl, first);
    registry.push('gateway', '1.1.0', second);
    await offered('1.1.0');
    expect(await stream).toBe(true);
    expect(await streams(rauc, effectiveUrl, first)).toBe(true);
    expect(new Set(rauc.statuses)).toEqual(new Set([206]));
  });

  it('never mixes two bundles of one version: the stream ends where a tag was moved', async () => {
    await start();
    const rauc = client();
    const { effectiveUrl = '' } = await rauc.begin();
    registry.push('gateway', '1.0.0', second);
    const size = async (): Promise<number> => Number((await (await service.version('gateway')).text()).split('\n')[2]);
    await until(async () => (await size()) === second.length, 'the moved tag');
    await expect(rauc.read(effectiveUrl, [[0, 4096]], 1)).rejects.toThrow('EIO after 404');
    expect(await rauc.poll()).toMatchObject({ result: 'bundle', size: second.length });
  });

  it('goes on streaming where no further download may start', async () => {
    registry.push('big', '1.0.0', firmwareBytes(40_000_000, 'big'));
    await start({ MAX_DOWNLOADS: '1' });
    const rauc = client();
    const { effectiveUrl = '' } = await rauc.begin();
    const slow = await RawClient.open(service.port);
    slow.socket.pause();
    slow.send('GET /firmware?device=big HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(async () => (await service.versionOf('gateway')) === 503, 'the limit');
    const rest: Range[] = [
      [4096, 8192],
      [100_000, 200_000],
    ];
    expect((await rauc.read(effectiveUrl, rest, 2)).map((piece) => piece.length)).toEqual([4096, 100_000]);
    expect(await client().poll()).toEqual({ result: 'unexpected HTTP error code 503' });
    slow.close();
    registry.remove('big');
  });

  it('says what it is once, and is seen with it', async () => {
    await start();
    const { effectiveUrl = '' } = await client().begin();
    expect(effectiveUrl).toMatch(/^\/rauc\/gateway\/1\.0\.0\.raucb\?sha256=[0-9a-f]{16}&unit=SN-1$/);
    expect(service.events('unit.checked')).toMatchObject([{ device: 'gateway', unit: 'SN-1', version: '0.9.0' }]);
  });

  it.each([
    [{ 'RAUC-System-Version': '1.0.0' }, 'no content'],
    [{ 'RAUC-System-Version': 'v1.0.0' }, 'no content'],
    [{ 'RAUC-System-Version': '1.0.0+7' }, 'bundle'],
    [{ 'RAUC-System-Version': '2.0.0' }, 'bundle'],
    [{ 'RAUC-System-Version': 'x'.repeat(500) }, 'bundle'],
    [{ 'RAUC-Serial': '\u0001' }, 'unexpected HTTP error code 400'],
    [{ 'RAUC-Serial': 'x'.repeat(500) }, 'bundle'],
    [{}, 'bundle'],
  ])('with headers, number %#, gets what they say', async (headers, result) => {
    await start();
    expect(await client({ headers: headers }).poll()).toMatchObject({ result });
  });

  it.each([
    ['/rauc/', 400],
    ['/rauc/Gateway', 400],
    ['/rauc/..%2f..%2fetc', 400],
    ['/rauc/gateway?unit=%0A', 400],
    ['/rauc/gateway?running=1.0.0', 204],
    ['/rauc/other', 404],
    ['/rauc/gateway/9.9.9.raucb', 404],
    ['/rauc/gateway/%E0%A4%A.raucb', 404],
    ['/rauc/gateway/1.0.0.raucb', 200],
    ['/rauc/gateway', 200],
    ['/rauc', 404],
  ])('%s is answered with %d', async (path, status) => {
    await start();
    const answer = await service.fetch(path);
    await answer.arrayBuffer();
    expect(answer.status).toBe(status);
  });

  it('is sent a link that needs no credentials, where access is restricted', async () => {
    const path = join(folder, 'tokens');
    writeFileSync(path, `gateway sha256:${hashToken('secret')}\n`);
    await start({ DEVICE_TOKENS_PATH: path });
    expect(await client().poll()).toEqual({ result: 'unauthorized' });
    const rauc = client({ always: ['Authorization: Bearer secret'] });
    const { effectiveUrl = '' } = await rauc.begin();
    expect(await streams(client(), effectiveUrl, first)).toBe(true);
    for (const wrong of [effectiveUrl.replace('SN-1', 'SN-2'), effectiveUrl.replace('gateway', 'other')])
      expect([401, 403]).toContain((await service.fetch(wrong)).status);
  });

  it('has two routes in the metrics, whatever is asked for', async () => {
    await start();
    for (const path of ['/rauc/gateway', '/rauc/a/b/c', '/rauc/a.raucb', '/rauc/a/b.raucb'])
      await (await service.fetch(path)).arrayBuffer();
    const paths = [...(await service.metrics()).matchAll(/http_requests_total\{[^}]*path="(\/rauc[^"]*)"/g)];
    expect(new Set(paths.map(([, path]) => path))).toEqual(
      new Set(['/rauc/:product', '/rauc/:product/:version.raucb']),
    );
  });

  it('is answered with 404 where the protocol is off', async () => {
    await start({ PROTOCOLS: 'native' });
    registry.seen.length = 0;
    expect(await client().poll()).toEqual({ result: 'not found' });
    expect(registry.asked).toEqual([]);
  });
});
