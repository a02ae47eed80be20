import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { DdiUnit } from '../support/clients/ddi.js';
import { RaucHawkbitUnit } from '../support/clients/rauc-hawkbit.js';
import { ZephyrUnit } from '../support/clients/zephyr.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const first = firmwareBytes(50_000, 'first');
const second = firmwareBytes(600_000, 'second');
const third = firmwareBytes(60_000, 'third');
const registry = new FakeRegistry();
const folder = mkdtempSync(join(tmpdir(), 'otaflux-ddi-clients-'));
const TOKEN = '0123456789abcdef0123456789abcdef';
let service: TestService;

beforeAll(async () => {
  await registry.start();
  const hash = createHash('sha256').update(TOKEN).digest('hex');
  writeFileSync(join(folder, 'tokens'), `sensor sha256:${hash}\n`);
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  registry.fault = () => false;
});
afterEach(async () => {
  await service.stop();
  registry.remove('sensor');
});

const start = async (options: TestOptions = {}): Promise<void> => {
  service = await TestService.start({
    REGISTRY_URL: registry.url,
    REFRESH_INTERVAL: '0',
    DDI_DEFAULT_PRODUCT: 'sensor',
    POLL_INTERVAL: '5m',
    ...options,
  });
};
const port = (): number => service.port;
const offered = async (version: string, firmware: Buffer): Promise<void> => {
  registry.push('sensor', version, firmware);
  // By a request of its own, because the native dialect may need a token.
  await until(() => service.events('release.changed').some((line) => line.version === version) || ask(), version);
};
const ask = async (): Promise<boolean> => {
  await service.fetch('/version?device=sensor', { headers: { Authorization: `Bearer ${TOKEN}` } });
  return false;
};
const stateOf = (unit: string): ReturnType<DdiUnit['state']> => new DdiUnit(() => service, unit, 'sensor').state();

describe.each(['2023', '4.1'] as const)('the hawkBit client of Zephyr %s', (release) => {
  const unit = (token?: string): ZephyrUnit => new ZephyrUnit(port, 'frdm_k64f-0123456789abcdef', release, token);
  const state = (): ReturnType<DdiUnit['state']> => stateOf('frdm_k64f-0123456789abcdef');

  it('lives through a life', async () => {
    await start({ WEBHOOK_SECRET: 'a-secret-of-16-characters' });
    const zephyr = unit();
    expect(await zephyr.probe()).toBe('error: denied: 404');
    registry.push('sensor', '1.0.0', first);
    const hook = '/webhooks/generic?token=a-secret-of-16-characters';
    await service.api.post(hook).send({ repository: 'sensor' }).expect(200);
    await until(async () => (await service.versionOf('sensor')) === '1.0.0', 'the release');
    expect(await zephyr.probe()).toBe('update installed');
    expect(zephyr.steps).toEqual([
      'GET /',
      'PUT /configData',
      'GET /',
      'GET /deploymentBase/ID',
      'GET /softwaremodules/ID/artifacts/firmware.bin',
    ]);
    expect(zephyr.sleep).toBe('00:05:00');
    expect(zephyr.image?.equals(first)).toBe(true);
    expect((await state())?.outcome).toBeUndefined();
    // After the reboot.
    expect(await zephyr.probe()).toBe('no update');
    expect(zephyr.steps).toEqual(['GET /', 'GET /deploymentBase/ID', 'POST /deploymentBase/ID/feedback', 'GET /']);
    expect(await state()).toMatchObject({ running: '1.0.0', outcome: { outcome: 'installed' } });
    expect(await zephyr.probe()).toBe('no update');
    await offered('1.1.0', second);
    expect(await zephyr.probe({ cutAfter: 20_000 })).toBe('error: download incomplete');
    expect(await zephyr.probe()).toBe('update installed');
    expect(zephyr.image?.equals(second)).toBe(true);
    expect(await zephyr.probe()).toBe('no update');
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    expect(await zephyr.probe()).toBe('no update');
  });

  it('takes a newer release that comes while it reboots', async () => {
    registry.push('sensor', '1.0.0', first);
    await start();
    const zephyr = unit();
    expect(await zephyr.probe()).toBe('update installed');
    await offered('1.1.0', third);
    expect(await zephyr.probe()).toBe('update installed');
    expect(zephyr.steps.slice(0, 3)).toEqual(['GET /', 'POST /cancelAction/ID/feedback', 'GET /']);
    expect(zephyr.image?.equals(third)).toBe(true);
    expect(await zephyr.probe()).toBe('no update');
    expect(await state()).toMatchObject({ running: '1.1.0', outcome: { version: '1.1.0' } });
  });

  it('cancels an update that it has not installed', async () => {
    registry.push('sensor', '1.0.0', second);
    await start();
    const zephyr = unit();
    expect(await zephyr.probe({ cutAfter: 20_000 })).toBe('error: download incomplete');
    await offered('1.1.0', third);
    expect(await zephyr.probe()).toBe('update installed');
    expect(zephyr.image?.equals(third)).toBe(true);
  });

  it('sends a token of 32 characters', async () => {
    registry.push('sensor', '1.0.0', first);
    await start({ DEVICE_TOKENS_PATH: join(folder, 'tokens') });
    expect(await unit().probe()).toBe('error: denied: 401');
    const zephyr = unit(TOKEN);
    expect(await zephyr.probe()).toBe('update installed');
    expect(await zephyr.probe()).toBe('no update');
  });
});

describe('rauc-hawkbit-updater', () => {
  it('lives through a life', async () => {
    await start({ WEBHOOK_SECRET: 'a-secret-of-16-characters' });
    let installs = true;
    const rauc = new RaucHawkbitUnit(port, 'rauc-1', { install: () => installs });
    await expect(rauc.poll()).rejects.toThrow('HTTP Error: 404');
    registry.push('sensor', '1.0.0', first, undefined, 'rootfs.raucb');
    const hook = '/webhooks/generic?token=a-secret-of-16-characters';
    await service.api.post(hook).send({ repository: 'sensor' }).expect(200);
    await until(async () => (await service.versionOf('sensor')) === '1.0.0', 'the release');
    expect(await rauc.poll()).toBe('installed');
    expect(rauc.steps.slice(0, 4)).toEqual([
      'GET /',
      'PUT /configData',
      'GET /deploymentBase/ID',
      'POST /deploymentBase/ID/feedback',
    ]);
    expect(rauc.bundle?.equals(first)).toBe(true);
    expect(await rauc.poll()).toBe('nothing');
    expect(rauc.steps).toEqual(['GET /']);
    expect(await stateOf('rauc-1')).toMatchObject({ running: '1.0.0', hardware: 'T-1000' });
    await offered('1.1.0', second);
    expect(await rauc.poll({ cutAfter: 200_000 })).toBe('installed');
    expect(rauc.bundle?.equals(second)).toBe(true);
    await offered('1.2.0', third);
    installs = false;
    expect(await rauc.poll()).toBe('failed');
    expect(await stateOf('rauc-1')).toMatchObject({
      running: '1.1.0',
      outcome: { outcome: 'failed', version: '1.2.0', message: 'Failed to install software bundle.' },
    });
    installs = true;
    expect(await rauc.poll()).toBe('nothing');
    await offered('1.2.1', first);
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    expect(await rauc.poll()).toBe('installed');
  });

  it('answers a cancellation, and takes the newer release at its next poll', async () => {
    registry.push('sensor', '1.0.0', first);
    await start();
    const ddi = new DdiUnit(() => service, 'rauc-1', 'sensor', {}, 'DEFAULT');
    await ddi.action();
    await offered('1.1.0', third);
    const rauc = new RaucHawkbitUnit(port, 'rauc-1');
    expect(await rauc.poll()).toBe('cancelled');
    expect(await rauc.poll()).toBe('installed');
    expect(rauc.bundle?.equals(third)).toBe(true);
  });

  it.each([
    ['TargetToken', false, true],
    ['TargetToken', false, false],
    ['GatewayToken', true, true],
  ])('sends %s; with downloads: %s', async (_scheme, gateway, sendsTokenWithDownload) => {
    registry.push('sensor', '1.0.0', first);
    await start({ DEVICE_TOKENS_PATH: join(folder, 'tokens') });
    await expect(new RaucHawkbitUnit(port, 'rauc-1').poll()).rejects.toThrow('HTTP Error: 401');
    const rauc = new RaucHawkbitUnit(port, 'rauc-1', { token: TOKEN, gateway, sendsTokenWithDownload });
    expect(await rauc.poll({ cutAfter: 10_000 })).toBe('installed');
  });
});
