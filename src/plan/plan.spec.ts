import { describe, expect, it } from '@jest/globals';
import { EXAMPLE } from '../../test/support/plans/example.js';
import {
  parsePlan,
  PlanError,
  PlanSelector,
  stageAt,
  Standings,
  type Rollout,
  type RolloutStanding,
  type Step,
} from './index.js';

class ByClock extends Standings {
  override of(_product: string, rollout: Rollout, nowMs: number): RolloutStanding {
    return { stage: stageAt(rollout, undefined, nowMs), halted: undefined, mayOffer: true };
  }
}
const standing = { rollouts: new ByClock() };
const release = (version: string) => ({ version, manifestDigest: `sha256:${version}` });

describe('parsePlan', () => {
  it('reads the plan of the documentation', () => {
    const plan = parsePlan(EXAMPLE);
    expect(plan.serial).toBe(14);
    expect(plan.defaultChannel.name).toBe('stable');
    expect(plan.channels.get('beta')?.includes('2.0.0-rc.1')).toBe(true);
    expect(plan.channels.get('stable')?.includes('1.5.0-rc.1')).toBe(false);
    expect(plan.rollouts[0]).toMatchObject({
      key: '1.5.0',
      stages: [{ percent: 1, forMs: 86_400_000, until: { share: 0.98, least: 20 } }, { percent: 10 }, { percent: 50 }],
      halt: { share: 0.05, least: 20 },
      rate: { offers: 500, perMs: 3_600_000 },
      window: { fromMinute: 60, toMinute: 300, zone: 'Europe/Berlin' },
    });
    expect(plan.warnings).toEqual([]);
  });

  it('names line, column and path of everything that is wrong, and a similar name', () => {
    let error: unknown;
    try {
      parsePlan('serial: 0\nchannls: {}\nrollouts:\n  - version: 1.5\n    rate: fast\n');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(PlanError);
    expect((error as PlanError).problems).toEqual([
      { line: 1, column: 9, path: 'serial', message: 'got "0", expected a whole number from 1, such as 14' },
      { line: 2, column: 1, path: '', message: 'unknown key "channls", did you mean channels?' },
      { line: 4, column: 14, path: 'rollouts[0].version', message: 'got "1.5", expected a version such as 1.5.0' },
      {
        line: 5,
        column: 11,
        path: 'rollouts[0].rate',
        message: expect.stringContaining('got "fast", expected a number of offers'),
      },
    ]);
  });
});

describe('PlanSelector', () => {
  const catalogue = {
    product: 'esp32',
    plan: parsePlan(EXAMPLE),
    releases: ['2.0.0-rc.3', '1.5.0', '1.4.3', '1.4.2', '1.4.0'].map(release),
  };
  const at = Date.parse('2026-11-25T03:00:00+01:00');

  it('explains a decision step by step', () => {
    const steps: Step[] = [];
    const selection = new PlanSelector().select(
      catalogue,
      { product: 'esp32', unit: 'u1', running: '1.4.0' },
      at,
      standing,
      (step) => steps.push(step),
    );
    expect(selection).toMatchObject({ release: { version: '1.4.2' }, reason: 'channel', channel: 'stable' });
    expect(steps).toEqual([
      { subject: 'plan', finding: 'the plan of esp32 has the serial 14' },
      { subject: 'unit', finding: 'no rule matches it, so it is in the default channel stable' },
      { subject: 'release 1.5.0', finding: 'its rollout starts at 2026-11-25T08:00:00Z' },
      { subject: 'release 1.4.3', finding: 'it is yanked, so no unit is offered it' },
      { subject: 'release 1.4.2', finding: 'it is offered: it is the highest of the channel stable' },
    ]);
  });
});
