import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { planText, VERSIONS, writtenPlans } from '../../test/support/plans/random-plans.js';
import { parsePlan, type Plan, type Range } from './index.js';

/** More than are kept built, so that each plan of before is built again when it is asked for. */
const OTHERS = 4_300;
const UNITS = ['lab-1', 'unit-7', '24:6f:28:aa:bb:cc'].flatMap((unit) =>
  ['rev-a', 'rev-b'].flatMap((hardware) =>
    VERSIONS.slice(0, 6).map((running) => ({ unit, hardware, running, attributes: { site: 'lab', hardware } })),
  ),
);
const EVERYTHING = `
serial: 14
product: esp32
channels:
  stable: { versions: ">=1.0.0 <2.0.0" }
  beta: { versions: ">=1.0.0", prereleases: true }
  lab: { version: 2.0.0-rc.3 }
default: stable
units:
  - { match: "lab-*", channel: lab }
  - { match: "24:6f:28:aa:bb:cc", version: 1.4.2 }
  - { where: { hardware: "rev-a", running: "<1.4.0" }, channel: stable }
rollouts:
  - version: 1.5.0
    channels: [stable, beta]
    from: ">=1.4.0"
    starts: 2026-11-25T08:00:00Z
    stages: [{ percent: 1, for: 1d, until: { succeeded: 98%, least: 5 } }, { percent: 10.5, until: { succeeded: 0% } }]
    halt: { failed: 5%, least: 30 }
    rate: 500/h
    window: { from: "01:00", to: "05:00", zone: Europe/Berlin }
    paused: 2026-11-26T08:00:00Z
    downgrade: true
    attempt: 3
    reached: 2
  - { version: 1.6.0, window: { from: "23:00", to: "05:00" }, paused: true, halt: { failed: 0% } }
  - { version: 3.0.0, paused: false, stages: [], downgrade: false }
yanked: [1.4.3]
`;

/** All that a plan says. */
function contentOf(plan: Plan): unknown {
  const rangeOf = (range: Range | undefined): unknown => range && [range.text, VERSIONS.map((v) => range.includes(v))];
  return {
    serial: plan.serial,
    product: plan.product,
    channels: [...plan.channels].map(([key, { name, version, range, prereleases, ...channel }]) => [
      key,
      { name, version, prereleases, range: rangeOf(range), includes: VERSIONS.map((one) => channel.includes(one)) },
    ]),
    default: plan.defaultChannel.name,
    units: plan.units.map(({ text, channel, version, ...rule }) => [
      text,
      channel,
      version,
      UNITS.map((unit) => rule.matches(unit)),
    ]),
    rules: UNITS.map((unit) => plan.ruleOf(unit)?.text),
    rollouts: plan.rollouts.map(({ from, ...rollout }) => ({ ...rollout, from: rangeOf(from) })),
    rolloutOf: [...plan.rolloutOf].map(([version, { key }]) => [version, key]),
    yanked: [...plan.yanked],
    warnings: plan.warnings,
  };
}

/** The keys of a JSON Schema, at any depth. */
function keysIn(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([name, value]) => [
    ...(name === 'properties' ? Object.keys(value as object) : []),
    ...keysIn(value),
  ]);
}

describe('a plan that nobody asked for', () => {
  it('is tested with every key that a plan can have', () => {
    const schema: unknown = JSON.parse(readFileSync('config/otaflux-plan.schema.json', 'utf8'));
    const keys = keysIn(schema);
    expect(keys).toContain('reached');
    expect(keys.filter((key) => !new RegExp(`\\b${key}:`).test(EVERYTHING))).toEqual([]);
  });

  it('says the same when it is asked again', () => {
    const texts = [
      EVERYTHING,
      'serial: 1',
      'serial: 2\nchannels: { a: { version: 1.0.0 } }\nunits: []\nrollouts: []\nyanked: []',
      ...fc.sample(writtenPlans, 200).map(planText),
    ];
    const plans = texts.map((text) => parsePlan(text));
    const before = plans.map(contentOf);
    const channels = plans.map((plan) => plan.channels);
    for (let serial = 1; serial <= OTHERS; serial++) parsePlan(`serial: ${serial}`);
    expect(plans.map(contentOf)).toEqual(before);
    // Otherwise they were not built again, and this test has shown nothing.
    expect(plans[0]?.channels).not.toBe(channels[0]);
  });
});
