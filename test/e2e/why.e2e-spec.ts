import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Clock } from '../../src/clock.js';
import type { Why } from '../../src/control/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { TestService, type TestOptions } from '../support/service.js';
import { unitsBetween } from '../support/shares.js';

const PLAN = `
serial: 7
channels:
  stable: { versions: ">=1.0.0 <2.0.0" }
  beta: { versions: ">=1.0.0" }
default: stable
units:
  - { match: "pinned-*", version: 1.0.0 }
rollouts:
  - version: 1.1.0
    starts: 2026-11-25T08:00:00Z
    stages:
      - { percent: 10, for: 1d, until: { succeeded: 90%, least: 5 } }
      - { percent: 50, for: 1d }
    halt: { failed: 20%, least: 10 }
`;
const NOW = Date.UTC(2026, 10, 25, 9);

describe('GET /why', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  const [early = ''] = unitsBetween('esp32', '1.1.0', 0, 10);
  const [late = ''] = unitsBetween('esp32', '1.1.0', 50, 100);

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    for (const version of ['1.0.0', '1.1.0', '2.0.0']) registry.push('esp32', version, firmwareBytes(1_000, version));
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('esp32');
  });

  const start = async (plan?: string, options: TestOptions = {}): Promise<void> => {
    if (plan !== undefined) pushPlan(registry, 'esp32', plan);
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', ...options });
    service.service.get(Clock).nowMs = () => NOW;
  };
  const why = async (query: string): Promise<Why> =>
    (await service.management.get(`/why?product=esp32${query}`).expect(200)).body as Why;

  it('says step by step why a unit is offered a version', async () => {
    await start(PLAN);
    expect(await why(`&unit=${early}&running=1.0.0`)).toMatchObject({
      product: 'esp32',
      unit: early,
      at: '2026-11-25T09:00:00.000Z',
      serial: 7,
      running: '1.0.0',
      channel: 'stable',
      offered: '1.1.0',
      reason: 'stage',
      about: '1.1.0',
      decision: '1.1.0 is offered: its rollout has reached the unit',
    });
    const { steps, ...late7 } = await why(`&unit=${late}&running=1.0.0`);
    expect(late7).toMatchObject({ offered: null, digest: null, reason: 'up-to-date', about: '1.0.0' });
    expect(steps.map(({ subject }) => subject)).toEqual(['plan', 'unit', 'release 1.1.0', 'release 1.0.0']);
    expect(steps[2]?.finding).toMatch(/^its rollout is in stage 1 of 2, at 10 %, and the unit is at \d+\.\d\d %$/);
    expect(await why(`&unit=pinned-1`)).toMatchObject({ offered: '1.0.0', reason: 'pin' });
    expect(await why(`&unit=${late}&channel=beta`)).toMatchObject({ offered: '2.0.0', channel: 'beta', asked: 'beta' });
    expect(await why('')).toMatchObject({ unit: null, offered: '1.0.0', reason: 'channel' });
  });

  it('decides as the server does for the unit, with what it has reported', async () => {
    await start(PLAN);
    const version = async (): Promise<string | undefined> =>
      (await (await service.fetch(`/version?device=esp32&unit=${early}&running=1.0.0`)).text()).split('\n')[0];
    expect(await version()).toBe('1.1.0');
    expect(await why(`&unit=${early}`)).toMatchObject({ running: '1.0.0', offered: '1.1.0' });
    const body = JSON.stringify({ outcome: 'failed', message: 'no space' });
    await service.fetch(`/report?device=esp32&unit=${early}`, { method: 'POST', body });
    expect(await why(`&unit=${early}`)).toMatchObject({ offered: null, reason: 'failed', about: '1.1.0' });
    expect(await why(`&unit=${early}&running=1.0.0&at=2026-11-24`)).toMatchObject({ reason: 'up-to-date' });
  });

  it('is a table for people who accept text', async () => {
    await start(PLAN);
    const { text } = await service.management.get('/why?product=esp32&unit=pinned-1').set('Accept', 'text/plain');
    expect(text.split('\n').map((line) => line.split(/ {2,}/)[0])).toEqual([
      'esp32',
      'plan',
      'unit',
      'release 1.0.0',
      'decision',
      '',
    ]);
    expect(text).toContain('decision       1.0.0 is offered: the plan names this version for the unit\n');
  });

  it('says what is offered without a plan', async () => {
    await start();
    expect(await why('&unit=a')).toMatchObject({ serial: null, channel: null, offered: '2.0.0', reason: 'newest' });
  });

  it.each([
    ['', 400, 'product: expected a device id such as esp32 or line-1/sensor'],
    ['?product=esp32&unit=%00', 400, 'unit: expected 1 to 128 printable characters'],
    ['?product=esp32&at=tomorrow', 400, 'at: expected a time such as 2026-11-25T08:00:00Z'],
    ['?product=esp32&channel=%00', 400, 'channel: expected 1 to 128 printable characters'],
    ['?product=nobody', 404, 'nobody has no release. Check the device id, and refresh.failed in the log'],
  ])('refuses %s with %d', async (query, status, message) => {
    await start(PLAN);
    expect((await service.management.get(`/why${query}`).expect(status)).body).toMatchObject({ message });
  });

  it('needs the management token, and is on the management port only', async () => {
    await start(PLAN, { MANAGEMENT_TOKEN: 'a-token-of-more-than-16-characters' });
    await service.management.get('/why?product=esp32').expect(401);
    await service.api.get('/why?product=esp32').expect(404);
  });

  it('has the state of each rollout in /status', async () => {
    await start(PLAN);
    await service.version('esp32');
    const plans = async (): Promise<unknown> => (await service.management.get('/status').expect(200)).body.plans;
    expect(await plans()).toMatchObject([
      {
        product: 'esp32',
        serial: 7,
        rejected: null,
        shared: false,
        rollouts: [
          {
            version: '1.1.0',
            attempt: 1,
            channels: ['stable'],
            state: 'running',
            stage: 1,
            stages: 2,
            percent: 10,
            since: '2026-11-25T08:00:00.000Z',
            until: '2026-11-26T08:00:00.000Z',
            waitsFor: null,
            paused: false,
            halted: null,
            offered: 0,
          },
        ],
      },
    ]);
    service.service.get(Clock).nowMs = () => NOW + 86_400_000;
    expect(await plans()).toMatchObject([
      { rollouts: [{ state: 'waiting', until: null, waitsFor: expect.stringContaining('0 of at least 5 units') }] },
    ]);
    pushPlan(registry, 'esp32', PLAN.replace('serial: 7', 'serial: 6'));
    await service.version('esp32');
    expect(await plans()).toMatchObject([{ serial: 7, rejected: { reason: expect.stringContaining('serial') } }]);
  });
});
