import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const PAST = '2020-01-01T00:00:00Z';
const FUTURE = '2999-01-01T00:00:00Z';

/** A plan whose only channel has the versions of `range`. */
export const planOf = (serial: number, range = '>=1.0.0', more = ''): string =>
  `serial: ${serial}\nchannels:\n  stable: { versions: "${range}" }\ndefault: stable\n${more}`;

const rollout = (version: string, starts: string, more = ''): string =>
  `  - { version: ${version}, channels: [stable], starts: ${starts}, stages: [{ percent: 10, for: 1d }]${more} }\n`;

describe('a product with a plan', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.push('fw', '1.0.0', firmwareBytes(1000));
    registry.push('fw', '1.1.0', firmwareBytes(1100));
    registry.push('fw', '2.0.0', firmwareBytes(2000));
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('fw');
    registry.fault = () => false;
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', ...options });
  };

  it('offers everybody the highest version of the default channel', async () => {
    pushPlan(registry, 'fw', planOf(1, '>=1.0.0 <2.0.0'));
    await start();
    expect(await service.versionOf('fw')).toBe('1.1.0');
    expect(service.events('plan.changed')).toMatchObject([{ device: 'fw', serial: 1 }]);
    expect(await service.metrics()).toContain('otaflux_plan_serial{device_id="fw"} 1');
  });

  it('offers nothing that a rollout has not given to everybody', async () => {
    pushPlan(registry, 'fw', planOf(1, '>=1.0.0', `rollouts:\n${rollout('2.0.0', FUTURE)}${rollout('1.1.0', PAST)}`));
    await start();
    expect(await service.versionOf('fw')).toBe('1.1.0');
  });

  it('follows a plan that is changed, and one that is deleted', async () => {
    await start();
    expect(await service.versionOf('fw')).toBe('2.0.0');
    pushPlan(registry, 'fw', planOf(3, '<1.1.0'));
    expect(await service.versionOf('fw')).toBe('1.0.0');
    pushPlan(registry, 'fw', planOf(4, '<2.0.0'));
    expect(await service.versionOf('fw')).toBe('1.1.0');
    registry.repository('fw').tags.delete('otaflux-plan');
    expect(await service.versionOf('fw')).toBe('2.0.0');
    expect(service.events('plan.changed')).toHaveLength(2);
    expect(service.events('plan.ended')).toMatchObject([{ device: 'fw', before: 4 }]);
  });

  it('asks for one list of tags, and for the plan and each version of interest by HEAD, when nothing has changed', async () => {
    pushPlan(registry, 'fw', planOf(1, '>=1.0.0', `rollouts:\n${rollout('2.0.0', FUTURE)}`));
    await start();
    expect(await service.versionOf('fw')).toBe('1.1.0');
    registry.seen.length = 0;
    expect(await service.versionOf('fw')).toBe('1.1.0');
    const asked = registry.seen.map(({ method, url }) => `${method} ${url.replace(/\?.*/, '')}`).sort();
    expect(asked).toEqual([
      'GET /v2/fw/tags/list',
      'HEAD /v2/fw/manifests/1.1.0',
      'HEAD /v2/fw/manifests/2.0.0',
      'HEAD /v2/fw/manifests/otaflux-plan',
    ]);
  });

  it('has versions of its catalogue by name, and pulls them when they are asked for', async () => {
    pushPlan(registry, 'fw', planOf(1, '<2.0.0', 'units:\n  - { match: "lab-*", version: 2.0.0 }\n'));
    await start();
    expect(await service.versionOf('fw')).toBe('1.1.0');
    expect(registry.count('blob')).toBe(2);
    const image = await service.firmware('fw&version=2.0.0');
    expect((await image.arrayBuffer()).byteLength).toBe(2000);
    await until(() => registry.count('blob') > 2, 'the blob');
  });

  it('offers everybody the version of a rollout when its last stage is over, without asking the registry', async () => {
    const starts = new Date().toISOString();
    const stages = '[{ percent: 10, for: 2s }]';
    pushPlan(
      registry,
      'fw',
      planOf(
        1,
        '>=1.0.0',
        `rollouts:\n  - { version: 2.0.0, channels: [stable], starts: ${starts}, stages: ${stages} }\n`,
      ),
    );
    await start({ REFRESH_INTERVAL: '1h' });
    expect(await service.versionOf('fw')).toBe('1.1.0');
    const lists = registry.count('tags');
    await until(async () => (await service.versionOf('fw')) === '2.0.0', 'the end of the stage');
    await until(() => service.events('release.changed').length > 1, 'the change of the current release');
    expect(service.events('release.changed')).toMatchObject([
      { version: '1.1.0' },
      { version: '2.0.0', before: '1.1.0' },
    ]);
    expect(registry.count('tags')).toBe(lists);
  });

  it('has no release without an id if nothing is offered to everybody, and one as soon as there is', async () => {
    pushPlan(registry, 'fw', planOf(1, '>=3.0.0'));
    await start();
    expect(await service.versionOf('fw')).toBe(404);
    expect(service.events('refresh.failed')).toEqual([]);
    registry.push('fw', '3.0.0', firmwareBytes(3000));
    expect(await service.versionOf('fw')).toBe('3.0.0');
  });
});
