import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Subject } from 'rxjs';
import { FakeClock } from '../../test/support/fake-clock.js';
import { unitsBetween } from '../../test/support/shares.js';
import { OtaError } from '../errors.js';
import { parseSettings } from '../config/index.js';
import type { CatalogueEntry, PlanStanding, ReleaseService } from '../firmware/index.js';
import { Fleet, type RolloutLedger } from '../fleet/index.js';
import { MemoryFleetStore } from '../fleet/memory-fleet-store.js';
import { MemoryRolloutLedger } from '../fleet/memory-rollout-ledger.js';
import { FleetMeter, MetricsRegistry, RolloutMeter } from '../metrics/index.js';
import { parsePlan, PlanSelector, type Catalogue } from '../plan/index.js';
import type { RolloutEvent } from './rollout-event.js';
import { RolloutRunner } from './rollout-runner.js';
import { Rollouts } from './rollouts.js';
import { RolloutStates } from './rollout-states.js';

const HOUR = 3_600_000;
const PRODUCT = 'esp32';
const entry = (version: string): CatalogueEntry =>
  ({ version, manifestDigest: `sha256:${version}` }) as unknown as CatalogueEntry;
const RELEASES = [entry('1.1.0'), entry('1.0.0')];
const offer = (version: string): { version: string; manifestDigest: string } => ({
  version,
  manifestDigest: `sha256:${version}`,
});

describe('a rollout', () => {
  let clock: FakeClock;
  let ledger: RolloutLedger;
  let fleet: Fleet;
  let runner: RolloutRunner;
  let rollouts: Rollouts;
  let catalogue: Catalogue<CatalogueEntry> | undefined;
  let standing: PlanStanding | undefined;
  let events: RolloutEvent[];
  let settled: number;
  let pulled: string[];
  const planChanges = new Subject<string>();

  const begin = (plan: string): void => {
    catalogue = { product: PRODUCT, plan: parsePlan(plan), releases: RELEASES };
    planChanges.next(PRODUCT);
  };
  const staged = (more = ''): string => `
serial: 1
channels: { stable: { versions: ">=1.0.0" } }
rollouts:
  - version: 1.1.0
    starts: 2026-01-01T01:00:00Z
    stages:
      - { percent: 1, for: 1h${more} }
      - { percent: 10, for: 1h }
    halt: { failed: 25%, least: 4 }
`;

  beforeEach(() => {
    clock = new FakeClock();
    ledger = new MemoryRolloutLedger(clock);
    const metrics = new MetricsRegistry();
    const settings = parseSettings({ REGISTRY_URL: { value: 'oci:.', where: 'test' } });
    fleet = new Fleet(new MemoryFleetStore(), clock, new FleetMeter(metrics), settings);
    standing = undefined;
    [events, settled, pulled, catalogue] = [[], 0, [], undefined];
    const releases = {
      planChanges,
      catalogue: () => catalogue,
      plannedProducts: () => [],
      planStanding: () => standing,
      settle: () => {
        settled++;
        return Promise.resolve();
      },
      deliver: ({ version }: CatalogueEntry) => {
        pulled.push(version);
        return {};
      },
    } as unknown as ReleaseService;
    rollouts = new Rollouts(releases, new PlanSelector(), new RolloutStates(ledger), ledger, fleet, clock);
    runner = new RolloutRunner(rollouts, releases, fleet, ledger, clock, new RolloutMeter(metrics, settings));
    runner.events.subscribe((event) => events.push(event));
    runner.onApplicationBootstrap();
  });
  afterEach(async () => {
    runner.beforeApplicationShutdown();
    await fleet.onApplicationShutdown();
  });

  /** Time goes on, and the rollout is looked at. */
  const wait = (hours: number): void => {
    clock.advance(hours * HOUR);
    runner.lookAtDue();
  };
  const told = (): string[] => events.map(({ kind, percent }) => `${kind} ${percent}`);
  const end = async (unit: string, outcome: 'installed' | 'failed' | 'rejected', version = '1.1.0'): Promise<void> => {
    fleet.offered({ product: PRODUCT, unit }, 'native', offer(version));
    await fleet.report({ product: PRODUCT, unit }, 'native', { outcome });
  };

  it('goes on by the clock, and downloads its release when it starts', async () => {
    begin(staged());
    expect(told()).toEqual([]);
    wait(1);
    expect(told()).toEqual(['stage 1']);
    await Promise.resolve();
    expect(pulled).toEqual(['1.1.0']);
    wait(1);
    wait(1);
    expect(told()).toEqual(['stage 1', 'stage 10', 'complete 100']);
    wait(100);
    expect(events).toHaveLength(3);
    expect(settled).toBe(3);
  });

  it('is examined again where that has failed, and the failure is told once', async () => {
    begin(staged());
    wait(1);
    let calls = 0;
    const halt = jest.spyOn(ledger, 'halt').mockImplementation(() => {
      calls++;
      throw new Error('the ledger is broken');
    });
    for (const unit of ['a', 'b', 'c', 'd']) await end(unit, 'failed');
    for (let i = 0; i < 3; i++) runner.lookAtDue();
    expect(calls).toBe(3);
    expect(told()).toEqual(['stage 1']);
    halt.mockRestore();
    runner.lookAtDue();
    expect(told()).toEqual(['stage 1', 'halted 1']);
  });

  it('waits for reports, says for what, and goes on when they come', async () => {
    begin(staged(', until: { succeeded: 50%, least: 2 }'));
    wait(1);
    wait(1);
    expect(events.at(-1)).toMatchObject({
      kind: 'waiting',
      reason: 'it waits for reports: 0 of at least 2 units have reported how their install ended',
    });
    await end('a', 'installed');
    runner.lookAtDue();
    expect(events.at(-1)?.kind).toBe('waiting');
    await end('b', 'installed');
    runner.lookAtDue();
    expect(told()).toEqual(['stage 1', 'waiting 1', 'stage 10']);
    expect(ledger.find(PRODUCT, '1.1.0')?.stage).toEqual({ index: 1, sinceMs: HOUR });
  });

  it('counts each unit once, by its last outcome, and forgets a failure that is retried', async () => {
    begin(staged());
    wait(1);
    const tally = (): unknown => ledger.find(PRODUCT, '1.1.0')?.tally;
    await end('a', 'failed');
    await end('a', 'failed');
    expect(tally()).toEqual({ offered: 1, installed: 0, failed: 1 });
    await fleet.retry({ product: PRODUCT, unit: 'a' });
    expect(tally()).toEqual({ offered: 1, installed: 0, failed: 0 });
    await end('a', 'installed');
    await end('b', 'rejected');
    // Another release counts for nothing.
    await end('c', 'failed', '1.0.0');
    expect(tally()).toEqual({ offered: 2, installed: 1, failed: 1 });
  });

  it.each([
    ['lost its trust', { failure: new OtaError('untrusted', 'the signer') }],
    ['was dropped from memory', undefined],
  ])('stays halted when its plan %s, and comes back', async (_name, found) => {
    begin(staged());
    wait(1);
    for (const unit of ['a', 'b', 'c', 'd']) await end(unit, 'failed');
    wait(0);
    const plan = catalogue;
    [catalogue, standing] = [undefined, found as PlanStanding | undefined];
    planChanges.next(PRODUCT);
    catalogue = plan;
    planChanges.next(PRODUCT);
    wait(0);
    expect(told().at(-1)).toMatch(/^halted/);
    expect(ledger.find(PRODUCT, '1.1.0')).toMatchObject({ tally: { failed: 4 }, halt: { reason: expect.any(String) } });
  });

  it('goes on one stage at a time in a later attempt whose state is lost, however long ago it began', () => {
    clock.advance(100 * HOUR);
    begin(staged(', until: { succeeded: 90%, least: 4 }').replace('version: 1.1.0', 'version: 1.1.0\n    attempt: 2'));
    expect(told()).toEqual(['stage 10']);
  });

  it('is forgotten when its plan has ended', async () => {
    begin(staged());
    wait(1);
    for (const unit of ['a', 'b', 'c', 'd']) await end(unit, 'failed');
    wait(0);
    [catalogue, standing] = [undefined, { highestSerial: 1 } as PlanStanding];
    planChanges.next(PRODUCT);
    expect(ledger.find(PRODUCT, '1.1.0')).toBeUndefined();
  });

  it('leaves alone what replicas with a newer plan have noted in a shared ledger', () => {
    Object.defineProperty(ledger, 'isShared', { value: true });
    const halt = { reason: 'too many', atMs: 1 };
    ledger.halt(PRODUCT, '1.1.0#2', halt);
    begin(staged());
    begin(staged().replace('serial: 1', 'serial: 2'));
    expect(ledger.find(PRODUCT, '1.1.0#2')).toMatchObject({ halt });
  });

  it('halts when too many have failed, and goes on as another attempt', async () => {
    begin(staged());
    wait(1);
    for (const unit of ['a', 'b', 'c']) await end(unit, 'installed');
    await end('d', 'failed');
    runner.lookAtDue();
    expect(events.at(-1)?.kind).toBe('stage');
    await end('e', 'failed');
    runner.lookAtDue();
    expect(events.at(-1)).toMatchObject({
      kind: 'halted',
      reason: '2 of 5 installs failed (40%), the limit is 25%',
    });
    wait(10);
    expect(events).toHaveLength(2);
    begin(staged().replace('serial: 1', 'serial: 2').replace('version: 1.1.0', 'version: 1.1.0\n    attempt: 2'));
    expect(events.at(-1)).toMatchObject({ kind: 'complete', percent: 100 });
    expect(ledger.find(PRODUCT, '1.1.0')).toBeUndefined();
  });

  it('begins a later attempt with the stage that was reached, also without what was noted', () => {
    const later = (reached: number): string =>
      staged().replace('version: 1.1.0', `version: 1.1.0\n    attempt: 2\n    reached: ${reached}`);
    begin(later(2));
    wait(1);
    expect(told()).toEqual(['stage 10']);
  });

  it('is paused and resumed by the plan, and ends with it', () => {
    begin(staged());
    wait(1);
    begin(staged().replace('serial: 1', 'serial: 2').replace('starts', 'paused: true\n    starts'));
    begin(staged().replace('serial: 1', 'serial: 3'));
    catalogue = undefined;
    planChanges.next(PRODUCT);
    expect(told()).toEqual(['stage 1', 'paused 1', 'resumed 1', 'ended 0']);
    expect(ledger.find(PRODUCT, '1.1.0')).toBeUndefined();
  });

  it('makes as many offers as its rate allows', async () => {
    begin(staged('').replace('halt', 'rate: 2/h\n    halt'));
    wait(1);
    const units = unitsBetween(PRODUCT, '1.1.0', 0, 1, 3);
    const offered = async (unit: string): Promise<string | undefined> => {
      const planned = rollouts.planned(PRODUCT);
      if (!planned) return undefined;
      const state = await fleet.find({ product: PRODUCT, unit });
      const { release } = rollouts.select(planned, { product: PRODUCT, unit, running: '1.0.0' }, state);
      if (!release) return undefined;
      rollouts.offered({ product: PRODUCT, unit }, PRODUCT, release);
      fleet.offered({ product: PRODUCT, unit }, 'native', release);
      await fleet.flush();
      return release.version;
    };
    const [a = '', b = '', c = ''] = units;
    expect([await offered(a), await offered(a), await offered(b)]).toEqual(['1.1.0', '1.1.0', '1.1.0']);
    expect([await offered(c), await offered(a)]).toEqual([undefined, '1.1.0']);
    wait(1.1);
    expect(await offered(c)).toBe('1.1.0');
  });
});
