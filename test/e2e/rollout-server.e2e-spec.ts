import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clock } from '../../src/clock.js';
import { RolloutRunner, type PlanStatus } from '../../src/rollout/index.js';
import { run, type Finished } from '../support/cli.js';
import { TestService, until } from '../support/service.js';
import { unitsBetween } from '../support/shares.js';

const HOUR_MS = 3_600_000;
const folder = mkdtempSync(join(tmpdir(), 'otaflux-rollout-server-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** People at a command line, a registry in a folder, and a server that units poll. */
describe('a rollout, seen from the command line', () => {
  let service: TestService;
  let registry: string[];
  let url: string[];
  /** How far the clock of the server is ahead of that of the command line. */
  let aheadMs = 0;
  const [first = '', second = '', third = '', fourth = '', fifth = ''] = unitsBetween('esp32', '1.1.0', 0, 20, 5);
  const [middle = ''] = unitsBetween('esp32', '1.1.0', 20, 50);
  const [late = ''] = unitsBetween('esp32', '1.1.0', 50, 100);

  beforeEach(async () => {
    const root = mkdtempSync(join(folder, 'registry-'));
    registry = ['--registry-url', `oci:${root}`];
    await push('1.0.0');
    await ok(
      ...['rollout', 'start', 'esp32', '1.1.0', '--stages', '20%/1h,50%/1h', '--until', '60%/4', '--halt', '40%/4'],
      ...registry,
    );
    await push('1.1.0');
    aheadMs = 0;
    service = await TestService.start({ REGISTRY_URL: `oci:${root}`, REFRESH_INTERVAL: '0' });
    service.service.get(Clock).nowMs = () => Date.now() + aheadMs;
    url = ['--url', service.managementUrl];
  });
  afterEach(() => service.stop());

  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(args);
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
    return stdout;
  };
  const push = async (version: string): Promise<void> => {
    const path = join(folder, 'firmware.bin');
    writeFileSync(path, `firmware ${version}`);
    await ok('push', 'esp32', version, path, ...registry);
  };
  const poll = async (unit: string, running = '1.0.0'): Promise<string | undefined> => {
    const answer = await service.fetch(`/version?device=esp32&unit=${unit}&running=${running}`);
    return (await answer.text()).split('\n')[0];
  };
  const report = async (unit: string, outcome: 'installed' | 'failed'): Promise<void> => {
    expect(await poll(unit)).toBe('1.1.0');
    const body = JSON.stringify({ outcome });
    expect((await service.fetch(`/report?device=esp32&unit=${unit}`, { method: 'POST', body })).ok).toBe(true);
  };
  const rollout = async (): Promise<PlanStatus['rollouts'][number] | undefined> =>
    (JSON.parse(await ok('rollout', 'status', 'esp32', '--json', ...url)) as PlanStatus).rollouts[0];
  const counted = (installed: number, failed: number): Promise<void> =>
    until(async () => {
      service.service.get(RolloutRunner).lookAtDue();
      const now = await rollout();
      return now?.installed === installed && now.failed === failed;
    }, 'the counts');
  const goAhead = (ms: number): void => {
    aheadMs += ms;
    service.service.get(RolloutRunner).lookAtDue();
  };
  const halt = async (): Promise<void> => {
    for (const unit of [first, second]) await report(unit, 'installed');
    for (const unit of [third, fourth]) await report(unit, 'failed');
    await counted(2, 2);
  };
  const why = (unit: string, ...more: string[]): Promise<string> => ok('why', 'esp32', '--unit', unit, ...more, ...url);

  it('has a table and JSON of how far it is', async () => {
    const none: Finished = await run(['rollout', 'status', 'esp8266', ...url]);
    expect(none).toMatchObject({ code: 1, stdout: '' });
    expect(none.stderr).toMatch(/^otaflux: the server has no plan for esp8266\./);
    await poll(first);
    await until(async () => (await rollout())?.offered === 1, 'the offer');
    const table = await ok('rollout', 'status', 'esp32', ...url);
    expect(table).toMatch(/^esp32: plan with serial 1 \(sha256:[0-9a-f]{12}…\)\n/);
    expect(table).toMatch(/\n1\.1\.0 +stable +running +1 of 2 +20 % +1 +0 +0 +until 20\S+Z\n$/);
    goAhead(HOUR_MS);
    expect(await ok('rollout', 'status', 'esp32', ...url)).toMatch(/ waiting +1 of 2 .* 0 of at least 4 units have/);
    expect(await rollout()).toMatchObject({ state: 'waiting', stage: 1, stages: 2, percent: 20, offered: 1 });
    for (const unit of [first, second, third, fourth]) await report(unit, 'installed');
    await counted(4, 0);
    expect(await rollout()).toMatchObject({ state: 'running', stage: 2, percent: 50, offered: 4, waitsFor: null });
  });

  it('is explained for each unit, also for another time', async () => {
    await poll(first);
    await ok('pin', 'esp32', 'bench-*', '1.0.0', ...registry);
    await poll(first);
    expect(await why(first)).toMatch(/\ndecision +1\.1\.0 is offered: its rollout has reached the unit\n$/);
    const beyond = await why(middle, '--running', '1.0.0');
    expect(beyond).toMatch(
      /\nrelease 1\.1\.0 +its rollout is in stage 1 of 2, at 20 %, and the unit is at \d+\.\d+ %\n/,
    );
    expect(beyond).toMatch(/\ndecision +nothing is offered: the unit runs 1\.0\.0\n$/);
    expect(await why('bench-1')).toMatch(/\ndecision +1\.0\.0 is offered: the plan names this version for the unit\n$/);
    expect(await why(first, '--at', '2026-01-01')).toContain('its rollout starts at ');
    expect(await run(['why', 'esp32', '--at', 'soon', ...url])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--at: got "soon", expected a time such as') as unknown,
    });
    await report(third, 'failed');
    await until(async () => (await why(third)).includes('otaflux units retry'), 'the failure');
    for (const unit of [first, second]) await report(unit, 'installed');
    await report(fourth, 'failed');
    await counted(2, 2);
    expect(await why(fifth, '--running', '1.0.0')).toContain(
      'the rollout of 1.1.0 is halted: 2 of 4 installs failed (50%), the limit is 40%',
    );
  });

  it('goes on after a halt with the stage that was halted, which does not wait for those who have reported', async () => {
    // The time of the first stage is over for long, but it waits for reports.
    await poll(first);
    goAhead(5 * HOUR_MS);
    await halt();
    const status = await run(['rollout', 'status', 'esp32', ...url]);
    expect(status.stdout).toMatch(/ halted +1 of 2 +20 % +4 +2 +2 +halted at \S+: 2 of 4 installs failed/);
    expect(await poll(fifth)).toBe('1.0.0');

    aheadMs = 0;
    const resumed = await ok('rollout', 'resume', 'esp32', ...url, ...registry);
    expect(resumed).toContain('The rollout of 1.1.0 goes on with stage 1 of 2, which begins anew.');
    expect([await poll(fifth), await poll(middle)]).toEqual(['1.1.0', '1.0.0']);
    expect(await rollout()).toMatchObject({
      attempt: 2,
      state: 'running',
      stage: 1,
      percent: 20,
      installed: 0,
      failed: 0,
    });
    expect(await poll(third)).not.toBe('1.1.0');

    // Nobody is left who would report.
    goAhead(2 * HOUR_MS);
    expect(await rollout()).toMatchObject({ state: 'running', stage: 2, percent: 50 });
    expect(await poll(middle)).toBe('1.1.0');
    // The units of the next stage have not installed it before, so it waits for them.
    goAhead(2 * HOUR_MS);
    expect(await rollout()).toMatchObject({ state: 'waiting', stage: 2 });
    expect(await poll(late)).toBe('1.0.0');
  });

  it('begins with its first stage if nobody says which one was halted', async () => {
    for (const unit of [first, second, third, fourth]) await report(unit, 'installed');
    await counted(4, 0);
    await ok('rollout', 'resume', 'esp32', '--after-halt', ...registry);
    expect([await poll(fifth), await poll(middle)]).toEqual(['1.1.0', '1.0.0']);
    for (const stage of [2, 3]) {
      goAhead(2 * HOUR_MS);
      expect(await rollout()).toMatchObject({ attempt: 2, stage });
    }
    expect(await poll(late)).toBe('1.1.0');
  });

  it('stands still while it is paused', async () => {
    await poll(first);
    await ok('rollout', 'pause', 'esp32', ...registry);
    // Who was offered it keeps the offer.
    expect([await poll(first), await poll(second)]).toEqual(['1.1.0', '1.0.0']);
    goAhead(5 * HOUR_MS);
    expect(await rollout()).toMatchObject({ state: 'paused', stage: 1, percent: 20 });
    expect(await ok('rollout', 'status', 'esp32', ...url)).toMatch(/ paused +1 of 2 .* paused at 20\S+Z\n$/);
    expect(await why(second, '--running', '1.0.0')).toContain('its rollout is paused since ');
    aheadMs = 0;
    // The server has not halted it.
    expect(await ok('rollout', 'resume', 'esp32', ...url, ...registry)).toContain('goes on where it stood');
    expect(await poll(second)).toBe('1.1.0');
    expect(await rollout()).toMatchObject({ attempt: 1, state: 'running', stage: 1 });
    expect(await run(['rollout', 'resume', 'esp32', ...url, ...registry])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(
        'the rollout of 1.1.0 is not paused, and the server has not halted it',
      ) as unknown,
    });
  });
});
