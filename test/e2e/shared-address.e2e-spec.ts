import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { TestService } from '../support/service.js';

const PLAN = `serial: 1
product: shared
channels:
  stable: { versions: "<2.0.0" }
default: stable
units:
  - { match: early, version: 2.0.0 }
`;
const firmware = { '1.0.0': firmwareBytes(3_000, 'one'), '2.0.0': firmwareBytes(3_000, 'two') };

describe('units behind one router', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    for (const [version, bytes] of Object.entries(firmware)) registry.push('shared', version, bytes);
    pushPlan(registry, 'shared', PLAN);
  });
  afterEach(() => service.stop());
  afterAll(() => registry.stop());

  const get = async (path: string): Promise<Buffer> => {
    const answer = await fetch(`${service.url}${path}`, { headers: { 'X-Forwarded-For': '192.0.2.7' } });
    return Buffer.from(await answer.arrayBuffer());
  };
  const offerTo = async (unit: string): Promise<string> =>
    (await get(`/version?device=shared&unit=${unit}`)).toString().split('\n')[0] ?? '';
  const downloadOf = (unit: string): Promise<Buffer> => get(`/firmware?device=shared&unit=${unit}`);

  it('each download what they were offered, though another one has asked in between', async () => {
    service = await TestService.start({ REGISTRY_URL: registry.url, TRUST_PROXY: '127.0.0.1' });
    expect(await offerTo('early')).toBe('2.0.0');
    expect(await offerTo('other')).toBe('1.0.0');
    expect((await downloadOf('early')).equals(firmware['2.0.0'])).toBe(true);
    expect((await downloadOf('other')).equals(firmware['1.0.0'])).toBe(true);
  });

  it('do not download what another one was offered', async () => {
    service = await TestService.start({ REGISTRY_URL: registry.url, TRUST_PROXY: '127.0.0.1' });
    expect(await offerTo('early')).toBe('2.0.0');
    expect((await downloadOf('other')).equals(firmware['1.0.0'])).toBe(true);
  });

  it('download what they were offered, also if they leave out their name', async () => {
    service = await TestService.start({ REGISTRY_URL: registry.url, TRUST_PROXY: '127.0.0.1' });
    expect(await offerTo('early')).toBe('2.0.0');
    expect((await get('/firmware?device=shared')).equals(firmware['2.0.0'])).toBe(true);
  });
});
