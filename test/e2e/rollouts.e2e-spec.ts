import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Clock } from '../../src/clock.js';
import { Fleet } from '../../src/fleet/index.js';
import { RolloutRunner } from '../../src/rollout/index.js';
import { DIALECTS, PRODUCT, type DialectAsk } from '../support/clients/dialects.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { pushPlan } from '../support/push-plan.js';
import { unitsBetween } from '../support/shares.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const DAY = 86_400_000;
const START = Date.UTC(2026, 10, 25, 8);

/** The rollout of 1.1.0 to 10 % for a day, then to everybody. */
const staged = (more = '', serial = 1): string => `
serial: ${serial}
channels:
  stable: { versions: ">=1.0.0 <2.0.0" }
  beta: { versions: ">=1.0.0 <3.0.0" }
  lab: { version: 1.0.0 }
default: stable
units:
  - { match: "pinned-*", version: 1.0.0 }
  - { match: "lab-*", channel: lab }
rollouts:
  - version: 1.1.0
    channels: [stable, beta, lab]
    starts: 2026-11-25T08:00:00Z
    stages:
      - { percent: 10, for: 1d }
    halt: { failed: 20%, least: 2 }
    ${more}
`;

describe.each(Object.entries(DIALECTS))('a rollout to units that speak %s', (_name, dialect) => {
  const registry = new FakeRegistry();
  let service: TestService;
  let nowMs: number;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    nowMs = START + 60_000;
    push('1.0.0');
    push('1.1.0');
  });
  afterEach(async () => {
    await service.stop();
    registry.remove(PRODUCT);
  });

  const push = (version: string): unknown =>
    registry.pushFiles(PRODUCT, version, { [dialect.file]: dialect.bytes(version) });
  const start = async (plan: string, options: TestOptions = {}): Promise<void> => {
    pushPlan(registry, PRODUCT, plan);
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      LOG_LEVEL: 'debug',
      ...options,
    });
    service.service.get(Clock).nowMs = () => nowMs;
  };
  const poll = (unit: string, running?: string, ask: DialectAsk = {}): Promise<string | undefined> =>
    dialect.poll(service, unit, { running, ...ask });
  /** Lets rollouts go on, as every second. */
  const look = async (): Promise<void> => {
    service.service.get(RolloutRunner).lookAtDue();
    await Promise.resolve();
  };
  const [early = '', second = '', third = ''] = unitsBetween(PRODUCT, '1.1.0', 0, 10, 3);
  const [late = ''] = unitsBetween(PRODUCT, '1.1.0', 50, 100);

  it('goes from unit to unit: beyond the stage, in the stage, installed, everybody', async () => {
    await start(staged());
    expect(await poll(late, '1.0.0')).toBeUndefined();
    expect(await poll(early, '1.0.0')).toBe('1.1.0');
    await dialect.end(service, early, 'installed');
    expect(await poll(early, '1.1.0')).toBeUndefined();
    // A unit with an older version gets what it would get without the rollout.
    expect(await poll(`${late}`, '0.9.0')).toBe('1.0.0');
    nowMs += DAY;
    await look();
    expect(await poll(late, '1.0.0')).toBe('1.1.0');
    const status = await service.management.get('/status').expect(200);
    expect(status.body.plans).toMatchObject([
      { product: PRODUCT, serial: 1, rollouts: [{ version: '1.1.0', state: 'complete', installed: 1, failed: 0 }] },
    ]);
  });

  it('halts, also for units that were offered it', async () => {
    await start(staged());
    expect(await poll(early, '1.0.0')).toBe('1.1.0');
    for (const unit of [second, third]) {
      expect(await poll(unit, '1.0.0')).toBe('1.1.0');
      await dialect.end(service, unit, 'failed');
    }
    await look();
    await until(() => service.events('rollout.halted').length === 1, 'the halt');
    expect(await poll(early, '1.0.0')).toBeUndefined();
    nowMs += 2 * DAY;
    await look();
    expect(await poll(late, '1.0.0')).toBeUndefined();
    expect(service.events('rollout.halted')).toMatchObject([
      { level: 'warn', version: '1.1.0', reason: expect.any(String) },
    ]);
  });

  it('ends for units that were offered a version that is yanked then', async () => {
    await start(staged());
    expect(await poll(early, '1.0.0')).toBe('1.1.0');
    pushPlan(registry, PRODUCT, `${staged('', 2)}yanked: [1.1.0]\n`);
    expect(await poll(early, '1.0.0')).toBeUndefined();
    // Whoever runs it gets what its channel says.
    expect(await poll(second, '1.1.0')).toBe('1.0.0');
  });

  it('is not offered again to a unit that has failed, until it is told to try again', async () => {
    await start(staged());
    expect(await poll(early, '1.0.0')).toBe('1.1.0');
    await dialect.end(service, early, 'failed');
    expect(await poll(early, '1.0.0')).toBeUndefined();
    await service.management.post(`/units/retry?product=${PRODUCT}&unit=${early}`).expect(200);
    expect(await poll(early, '1.0.0')).toBe('1.1.0');
  });

  it('leaves out pinned units, and those that run a higher version', async () => {
    await start(staged());
    nowMs += 2 * DAY;
    expect(await poll('pinned-1', '0.9.0')).toBe('1.0.0');
    expect(await poll('pinned-2', '1.1.0')).toBe('1.0.0');
    expect(await poll('lab-1', '1.1.0')).toBe('1.0.0');
    expect(await poll('newer', '1.2.0')).toBeUndefined();
  });

  it('makes new offers in its window only, and not while it is paused', async () => {
    await start(staged('window: { from: "09:00", to: "10:00", zone: UTC }'));
    expect(await poll(early, '1.0.0')).toBeUndefined();
    nowMs += 3_600_000;
    expect(await poll(early, '1.0.0')).toBe('1.1.0');
    nowMs += 3_600_000;
    await service.service.get(Fleet).flush();
    expect(await poll(early, '1.0.0')).toBe('1.1.0');
    expect(await poll(second, '1.0.0')).toBeUndefined();
    pushPlan(registry, PRODUCT, staged('paused: true', 2));
    expect(await poll(second, '1.0.0')).toBeUndefined();
    expect(await poll(early, '1.0.0')).toBe('1.1.0');
  });

  (dialect.namesChannels ? it : it.skip)('offers a unit what the channel has that it names', async () => {
    push('2.0.0');
    await start(staged());
    expect(await poll(late, '1.0.0')).toBeUndefined();
    expect(await poll(late, '1.0.0', { channel: 'beta' })).toBe('2.0.0');
    expect(await poll(late, '1.0.0', { channel: 'none' })).toBeUndefined();
  });
});
