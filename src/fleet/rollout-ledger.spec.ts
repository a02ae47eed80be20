import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '../../test/support/fake-clock.js';
import { MemoryRolloutLedger } from './memory-rollout-ledger.js';
import type { RolloutLedger } from './rollout-ledger.js';

const HOUR = 3_600_000;

describe('the ledger of rollouts in memory', () => {
  let clock: FakeClock;
  let ledger: RolloutLedger;

  beforeEach(() => {
    clock = new FakeClock();
    ledger = new MemoryRolloutLedger(clock, undefined, { products: 2, rollouts: 3 });
  });

  it('counts, and never below zero', () => {
    expect(ledger.find('esp32', '1.5.0')).toBeUndefined();
    ledger.count('esp32', '1.5.0', { offered: 2, failed: 1 });
    ledger.count('esp32', '1.5.0', { installed: 1, failed: -1 });
    ledger.count('esp32', '1.5.0', { failed: -1 });
    ledger.count('esp32', '1.5.0#2', { offered: 1 });
    expect(ledger.find('esp32', '1.5.0')?.tally).toEqual({ offered: 2, installed: 1, failed: 0 });
    expect(ledger.find('esp32', '1.5.0#2')?.tally).toEqual({ offered: 1, installed: 0, failed: 0 });
    expect(ledger.find('other', '1.5.0')).toBeUndefined();
  });

  it('lets stages only rise, and keeps the first halt', () => {
    ledger.reach('esp32', '1.5.0', { index: 1, sinceMs: 10 });
    ledger.reach('esp32', '1.5.0', { index: 0, sinceMs: 20 });
    ledger.reach('esp32', '1.5.0', { index: 1, sinceMs: 30 });
    ledger.halt('esp32', '1.5.0', { reason: 'first', atMs: 1 });
    ledger.halt('esp32', '1.5.0', { reason: 'second', atMs: 2 });
    expect(ledger.find('esp32', '1.5.0')).toMatchObject({
      stage: { index: 1, sinceMs: 10 },
      halt: { reason: 'first', atMs: 1 },
    });
  });

  it('forgets the rollouts that a product does not have any more', () => {
    for (const key of ['1.4.0', '1.5.0']) ledger.count('esp32', key, { offered: 1 });
    ledger.count('other', '1.4.0', { offered: 1 });
    ledger.keep('esp32', new Set(['1.5.0']));
    expect([ledger.find('esp32', '1.4.0'), ledger.find('esp32', '1.5.0')]).toEqual([undefined, expect.anything()]);
    expect(ledger.find('other', '1.4.0')).toBeDefined();
  });

  it('is bounded, and drops halts last', () => {
    ledger.halt('esp32', 'a', { reason: 'failed', atMs: 1 });
    for (const key of ['b', 'c', 'd', 'e']) ledger.count('esp32', key, { offered: 1 });
    expect(['a', 'b', 'c', 'd', 'e'].filter((key) => ledger.find('esp32', key))).toEqual(['a', 'd', 'e']);
    ledger.count('two', 'a', { offered: 1 });
    ledger.count('three', 'a', { offered: 1 });
    expect([ledger.find('two', 'a'), ledger.find('three', 'a')]).toEqual([expect.anything(), undefined]);
  });

  it('allows so many offers in any period, also over its edges', () => {
    const rate = { offers: 10, perMs: HOUR };
    const takeAll = (): number => {
      let taken = 0;
      while (taken < 100 && ledger.mayTake('esp32', '1.5.0', rate)) {
        expect(ledger.take('esp32', '1.5.0', rate)).toBe(true);
        taken++;
      }
      expect(ledger.take('esp32', '1.5.0', rate)).toBe(false);
      return taken;
    };
    clock.advance(HOUR - 1);
    expect(takeAll()).toBe(10);
    clock.advance(HOUR / 2);
    expect(takeAll()).toBe(0);
    clock.advance(HOUR / 2 + HOUR / 30);
    expect(takeAll()).toBe(10);
    expect(ledger.mayTake('esp32', '1.6.0', rate)).toBe(true);
    expect(ledger.take('esp32', '1.6.0', { offers: 0, perMs: HOUR })).toBe(false);
    // A clock that is set back does not stop a rollout for longer than its period.
    clock.advance(-48 * HOUR);
    expect(takeAll()).toBe(10);
  });
});
