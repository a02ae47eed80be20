import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Agent, get as httpGet } from 'node:http';
import { Clock } from '../../src/clock.js';
import { Fleet } from '../../src/fleet/index.js';
import { RolloutRunner } from '../../src/rollout/index.js';
import { DIALECTS, PRODUCT } from '../support/clients/dialects.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { TestService } from '../support/service.js';

const START = Date.UTC(2026, 10, 25, 8);
const BASE = `
channels: { stable: { versions: ">=1.0.0 <2.0.0" } }
default: stable
`;

interface Status {
  plans: { rollouts: { version: string; failed: number; installed: number; offered: number }[] }[];
}

describe.each(Object.entries(DIALECTS))('what a plan forbids, to units that speak %s', (_name, dialect) => {
  const registry = new FakeRegistry();
  let service: TestService;
  let nowMs: number;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    nowMs = START + 60_000;
  });
  afterEach(async () => {
    await service.stop();
    registry.remove(PRODUCT);
  });

  const push = (version: string): unknown =>
    registry.pushFiles(PRODUCT, version, { [dialect.file]: dialect.bytes(version) });
  const start = async (plan: string): Promise<void> => {
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) push(version);
    pushPlan(registry, PRODUCT, plan);
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0' });
    service.service.get(Clock).nowMs = () => nowMs;
    service.service.get(RolloutRunner).lookAtDue();
  };
  const poll = (unit: string, running?: string): Promise<string | undefined> =>
    dialect.poll(service, unit, { running });

  it('is not offered what it failed before it failed another one', async () => {
    await start(`serial: 1${BASE}
rollouts:
  - { version: 1.2.0, channels: [stable] }
  - { version: 1.1.0, channels: [stable] }
`);
    expect(await poll('u1', '1.0.0')).toBe('1.2.0');
    await dialect.end(service, 'u1', 'failed');
    expect(await poll('u1', '1.0.0')).toBe('1.1.0');
    await dialect.end(service, 'u1', 'failed');
    expect(await poll('u1', '1.0.0')).toBeUndefined();
    expect(await poll('u1', '1.0.0')).toBeUndefined();
    const { plans } = (await service.management.get('/status').expect(200)).body as Status;
    expect(plans[0]?.rollouts).toMatchObject([
      { version: '1.2.0', failed: 1 },
      { version: '1.1.0', failed: 1 },
    ]);
    await service.management.post(`/units/retry?product=${PRODUCT}&unit=u1`).expect(200);
    expect(await poll('u1', '1.0.0')).toBe('1.2.0');
  });

  it('is not offered what it failed after it has installed an older one', async () => {
    await start(`serial: 1${BASE}
rollouts: [{ version: 1.2.0, channels: [stable] }]
`);
    expect(await poll('u1', '1.0.0')).toBe('1.2.0');
    await dialect.end(service, 'u1', 'failed');
    expect(await poll('u1', '1.0.0')).toBe('1.1.0');
    await dialect.end(service, 'u1', 'installed');
    expect(await poll('u1', '1.1.0')).toBeUndefined();
  });

  it('keeps the offer that took the last of a rate', async () => {
    await start(`serial: 1${BASE}
rollouts: [{ version: 1.2.0, channels: [stable], rate: 1/h }]
`);
    expect(await poll('u1', '1.0.0')).toBe('1.2.0');
    expect(await poll('u1', '1.0.0')).toBe('1.2.0');
    expect(await poll('u2', '1.0.0')).toBe('1.1.0');
    await service.service.get(Fleet).flush();
    expect(await poll('u1', '1.0.0')).toBe('1.2.0');
  });
});

describe('clients without a unit', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let nowMs = START + 60_000;
  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  afterEach(async () => {
    await service.stop();
    registry.remove('esp32');
  });
  const start = async (more: string): Promise<void> => {
    for (const version of ['1.0.0', '1.1.0']) registry.pushFiles('esp32', version, { 'app.bin': Buffer.from(version) });
    pushPlan(
      registry,
      'esp32',
      `serial: 1${BASE}
rollouts: [{ version: 1.1.0, channels: [stable], ${more} }]
`,
    );
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0' });
    service.service.get(Clock).nowMs = () => nowMs;
  };
  const version = async (): Promise<string | undefined> =>
    (await (await service.fetch('/version?device=esp32')).text()).split('\n')[0];

  it('are not sent back and forth by a window', async () => {
    nowMs = Date.UTC(2026, 10, 25, 9, 30);
    await start('window: { from: "09:00", to: "10:00", zone: UTC }');
    expect(await version()).toBe('1.1.0');
    nowMs = Date.UTC(2026, 10, 25, 10, 30);
    service.service.get(RolloutRunner).lookAtDue();
    expect(await version()).not.toBe('1.0.0');
  });

  it('are not sent back and forth by a rate', async () => {
    await start('rate: 1/h');
    expect(await version()).toBe('1.1.0');
    await service.fetch('/version?device=esp32&unit=u1&running=1.0.0');
    expect(await version()).not.toBe('1.0.0');
  });
});

describe('a version that the plan has stopped', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  afterEach(async () => {
    await service.stop();
    registry.remove('esp32');
  });

  it.each(['1.1.0', 'v1.1.0', 'V1.1.0', '1.1.0+b', '1.1.0_b', 'v1.1.0_b', '01.1.0', ' 1.1.0', '1.1.0 '])(
    'is not sent to whoever names it as %j',
    async (name) => {
      const version = name.includes('b') ? '1.1.0+b' : '1.1.0';
      registry.pushFiles('esp32', '1.0.0', { 'app.bin': Buffer.from('1.0.0') });
      registry.pushFiles('esp32', version.replace('+', '_'), { 'app.bin': Buffer.from(version) });
      pushPlan(registry, 'esp32', `serial: 1${BASE}\nyanked: ["${version}"]\n`);
      service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0' });
      expect((await service.fetch('/version?device=esp32')).status).toBe(200);
      for (const path of ['/firmware?device=esp32', '/firmware?device=esp32&file=app.bin', '/firmware/esp32.swu?'])
        expect((await service.fetch(`${path}&version=${encodeURIComponent(name)}`)).status).toBeGreaterThanOrEqual(400);
    },
  );

  it('is not sent by its name to a client that was offered it before', async () => {
    for (const version of ['1.0.0', '1.1.0'])
      registry.pushFiles('esp32', version, { 'app.bin': Buffer.from(version), 'app.raucb': Buffer.from(version) });
    pushPlan(registry, 'esp32', `serial: 1${BASE}`);
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0' });
    const query = 'device=esp32&unit=u1&running=1.0.0';
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const get = async (path: string): Promise<number> => (await getWith(agent, service.port, path)).status;
    expect(await get(`/version?${query}`)).toBe(200);
    expect(await get(`/firmware?${query}&version=1.1.0`)).toBe(200);
    pushPlan(registry, 'esp32', `serial: 2${BASE}\nyanked: [1.1.0]\n`);
    expect((await service.fetch('/version?device=esp32&unit=u2')).status).toBe(200);
    expect(await get(`/firmware?${query}&version=1.1.0`)).toBe(404);
    agent.destroy();
  });
});

function getWith(agent: Agent, port: number, path: string): Promise<{ status: number }> {
  return new Promise((resolve, reject) => {
    httpGet({ agent, port, host: '127.0.0.1', path }, (response) => {
      response.resume().once('end', () => {
        resolve({ status: response.statusCode ?? 0 });
      });
    }).once('error', reject);
  });
}
