import { describe, expect, it } from '@jest/globals';
import { createHash, randomUUID } from 'node:crypto';
import { parsePlan, PlanSelector } from '../../src/plan/index.js';
import { EXAMPLE } from '../support/plans/example.js';
import { FixedStandings, fuzzPlans, offersWhatThePlanSays, stagesNeverShrink } from '../support/plans/properties.js';

/** 10,000 runs in all. */
describe('random plans, catalogues, units and clocks', () => {
  it('offer what the plan says, never what it forbids, and the same from every replica', () => {
    offersWhatThePlanSays(7_000);
  }, 300_000);

  it('have stages that never shrink', () => {
    stagesNeverShrink(1_000);
  }, 300_000);

  it('are refused with PlanError if they are damaged, and nothing else', () => {
    fuzzPlans(2_000);
  }, 300_000);
});

describe('the share of a stage', () => {
  const standing = { rollouts: new FixedStandings([], true) };
  const releases = [{ version: '1.5.0', manifestDigest: 'sha256:1' }];

  it.each([1, 10, 25, 50, 99])('is %i %% of 100,000 units, within 1 %%', (percent) => {
    const text = `serial: 1\nrollouts:\n  - { version: 1.5.0, starts: 2026-11-25T08:00:00Z, stages: [{ percent: ${percent}, for: 1d }] }\n`;
    const catalogue = { product: 'esp32', plan: parsePlan(text), releases };
    const ids = [
      (i: number) => `unit-${i}`,
      (i: number) => `24:6f:28:${i.toString(16).padStart(6, '0')}`,
      () => randomUUID(),
    ];
    for (const id of ids) {
      let offered = 0;
      for (let i = 0; i < 100_000; i++) {
        const asking = { product: 'esp32', unit: id(i), running: '1.4.0' };
        const { release } = new PlanSelector().select(catalogue, asking, Date.parse('2026-11-25T09:00:00Z'), standing);
        if (release) offered++;
      }
      expect(Math.abs(offered / 1_000 - percent)).toBeLessThan(1);
    }
  });
});

describe('a selection', () => {
  it('takes little more than the hash that a live stage needs', () => {
    const rules = Array.from({ length: 5_500 }, (_, i) => `  - { match: "unit-${i}-*", channel: lab }`).join('\n');
    const text = `serial: 1
channels: { stable: { versions: "*" }, lab: { versions: "*" } }
default: stable
units:
${rules}
rollouts:
  - { version: 1.5.0, starts: 2026-11-25T08:00:00Z, stages: [{ percent: 50, for: 10d }], from: ">=1.4.0", window: { from: "01:00", to: "00:00", zone: Europe/Berlin } }
yanked: [1.4.3]
`;
    const versions = ['1.5.0', '1.4.3', '1.4.2', '1.4.1', '1.4.0'];
    const releases = versions.map((version) => ({ version, manifestDigest: `sha256:${version}` }));
    const catalogue = { product: 'esp32', plan: parsePlan(text), releases };
    const standing = { rollouts: new FixedStandings([], true) };
    const selector = new PlanSelector();
    const nowMs = Date.parse('2026-11-25T09:00:00Z');
    const select = (i: number) =>
      selector.select(
        catalogue,
        { product: 'esp32', unit: `24:6f:28:${i}`, running: '1.4.0', attributes: { timezone: 'Asia/Tokyo' } },
        nowMs + i * 1_000,
        standing,
      );
    const hash = (i: number) => createHash('sha256').update(`esp32\n1.5.0\n24:6f:28:${i}`).digest();
    const selecting = medianMicroseconds(select);
    const hashing = medianMicroseconds(hash);
    process.stdout.write(`a selection takes ${selecting.toFixed(2)} µs, a hash ${hashing.toFixed(2)} µs\n`);
    // A hash takes 1.5 to 2 µs on common servers, so 20 µs are ten times as long.
    expect(selecting / hashing).toBeLessThan(10);
  });

  it('takes some hashes more if its plan has to be built again: one of many products with a plan of its own', () => {
    const releases = ['1.5.0', '1.4.3', '1.4.2'].map((version) => ({ version, manifestDigest: `sha256:${version}` }));
    const catalogues = Array.from({ length: 5_000 }, (_, i) => {
      const product = `product-${i}`;
      return { product, plan: parsePlan(EXAMPLE.replace('serial: 14', `serial: ${i + 1}`)), releases };
    });
    const standing = { rollouts: new FixedStandings([], true) };
    const selector = new PlanSelector();
    const nowMs = Date.parse('2026-11-27T02:00:00Z');
    const select = (i: number) => {
      const catalogue = catalogues[i % catalogues.length];
      if (!catalogue) throw new Error('there are 5,000');
      return selector.select(
        catalogue,
        { product: catalogue.product, unit: 'SN-1', running: '1.4.0' },
        nowMs,
        standing,
      );
    };
    const hash = (i: number) => createHash('sha256').update(`esp32\n1.5.0\n24:6f:28:${i}`).digest();
    const selecting = medianOfCalls(select);
    const hashing = medianOfCalls(hash);
    process.stdout.write(
      `with a plan that is built again ${selecting.toFixed(2)} µs, a hash ${hashing.toFixed(2)} µs\n`,
    );
    // About 20 on a machine with nothing else to do.
    expect(selecting / hashing).toBeLessThan(100);
  });
});

/** The median of rounds of 1,000 calls. */
function medianMicroseconds(call: (i: number) => unknown): number {
  const rounds = Array.from({ length: 60 }, (_, round) => {
    const begun = performance.now();
    for (let i = 0; i < 1_000; i++) call(round * 1_000 + i);
    return performance.now() - begun;
  });
  return rounds.sort((a, b) => a - b)[30] ?? NaN;
}

/** The median of single calls, which other programs on the machine do not change. */
function medianOfCalls(call: (i: number) => unknown): number {
  const times = Array.from({ length: 20_000 }, (_, i) => {
    const begun = performance.now();
    call(i);
    return (performance.now() - begun) * 1_000;
  });
  return times.sort((a, b) => a - b)[10_000] ?? NaN;
}
