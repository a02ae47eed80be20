import fc from 'fast-check';
import { stringify } from 'yaml';
import { localTime, positionOf } from './facts.js';

/** A plan as a person writes it, before it is YAML. */
export interface Written {
  readonly serial: number;
  readonly channels: Readonly<Record<string, { versions?: string; version?: string; prereleases?: boolean }>>;
  readonly default: string;
  readonly units: readonly {
    readonly match?: string;
    readonly where?: Readonly<Record<string, string>>;
    readonly channel?: string;
    readonly version?: string;
  }[];
  readonly rollouts: readonly WrittenRollout[];
  readonly yanked: readonly string[];
}

export interface WrittenRollout {
  readonly version: string;
  readonly channels?: readonly string[] | undefined;
  readonly from?: string | undefined;
  readonly starts: string;
  readonly stages: readonly { percent: number; for?: string; until?: { succeeded: string; least?: number } }[];
  readonly halt?: { failed: string; least: number } | undefined;
  readonly rate?: string | undefined;
  readonly window?: { from: string; to: string; zone?: string | undefined } | undefined;
  readonly paused?: boolean | string | undefined;
  readonly downgrade?: boolean | undefined;
  readonly attempt?: number | undefined;
  readonly reached?: number | undefined;
}

/** What a unit says, what is known of it, and when. */
export interface Situation {
  readonly unit: string | undefined;
  readonly running: string | undefined;
  readonly hardware: string | undefined;
  readonly channel: string | undefined;
  readonly attributes: Readonly<Record<string, string>> | undefined;
  readonly failedVersion: string | undefined;
  readonly offeredVersion: string | undefined;
  readonly nowMs: number;
  /** By version. */
  readonly halted: readonly string[];
  readonly mayOffer: boolean;
}

/** A release of a catalogue; `hardware` is a glob, `requires` a range. */
export interface Shelved {
  readonly version: string;
  readonly hardware?: 'rev-a' | 'rev-b';
  readonly requires?: string;
}

export const VERSIONS = [
  '3.0.0-alpha.10',
  '2.1.0',
  '2.0.0',
  '2.0.0-rc.3',
  '1.10.0',
  '1.5.0+build.7',
  '1.5.0',
  '1.5.0-rc.1',
  '1.4.3',
  '1.4.2',
  '1.0.0',
  '0.9.0',
] as const;
const RANGES = ['>=1.0.0 <2.0.0', '>=1.0.0', '^1.4.0', '*', '1.x', '>=2.0.0-rc.1', '~1.4.2 || >=2', '<1.5.0'];
const ZONES = ['Europe/Berlin', 'UTC', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe'];
/** Around two changes of the offset in Berlin. */
export const BEGIN = Date.parse('2026-10-20T00:00:00Z');
const DAY = 86_400_000;

const channelName = fc.constantFrom('stable', 'beta', 'lab');
const version = fc.constantFrom(...VERSIONS);
const range = fc.constantFrom(...RANGES);
const unitId = fc.oneof(
  fc.constantFrom('lab-1', 'LAB-2', '24:6f:28:aa:bb:cc', 'gw-0815', '__proto__', ''),
  fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
);
const clock = fc
  .record({ h: fc.integer({ min: 0, max: 23 }), m: fc.integer({ min: 0, max: 59 }) })
  .map(({ h, m }) => `${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}`);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const stages = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { maxLength: 4 }),
    fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
  )
  .map(([percents, waits]) =>
    percents
      .sort((a, b) => a - b)
      .map((percent, i) => ({
        percent,
        for: `${i + 1}d`,
        ...(waits[i] === true && i === 1 && { until: { succeeded: '90%', least: 5 } }),
      })),
  );

/** Most rollouts were never halted. */
const resumption = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.record({
      attempt: fc.integer({ min: 1, max: 3 }),
      reached: optional(fc.integer({ min: 1, max: 6 })),
    }),
  },
);

const rolloutOnce = fc.record({
  version,
  channels: optional(fc.uniqueArray(channelName, { minLength: 1, maxLength: 3 })),
  from: optional(range),
  starts: fc.integer({ min: -5, max: 10 }).map((days) => new Date(BEGIN + days * DAY).toISOString()),
  stages,
  halt: optional(fc.constant({ failed: '5%', least: 20 })),
  rate: optional(fc.constantFrom('500/h', '20/m', '10000/d')),
  window: optional(
    fc
      .record({ from: clock, to: clock, zone: optional(fc.constantFrom(...ZONES)) })
      .filter(({ from, to }) => from !== to),
  ),
  paused: fc.oneof(
    { weight: 4, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 12 }).map((days) => new Date(BEGIN + days * DAY).toISOString()) },
  ),
  downgrade: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
const rollout: fc.Arbitrary<WrittenRollout> = fc
  .tuple(rolloutOnce, resumption)
  .map(([one, resumed]) => ({ ...one, ...resumed }));

const rule = fc
  .tuple(
    fc.oneof(
      fc
        .constantFrom('lab-*', '*-1', 'gw-*15', '24:6F:28:aa:bb:cc', 'lab-?', 'l[a-c]b-*', '*')
        .map((match) => ({ match })),
      fc.constantFrom('rev-a', 'rev-*').map((hardware) => ({ where: { hardware } })),
      range.map((running) => ({ where: { running } })),
      fc.constant({ match: 'lab-*', where: { site: 'berlin*', hardware: 'rev-?' } }),
      fc.constant({ where: { __missing: '*' } }),
    ),
    fc.oneof(
      channelName.map((channel) => ({ channel })),
      version.map((pinned) => ({ version: pinned })),
    ),
  )
  .map(([condition, target]) => ({ ...condition, ...target }));

export const writtenPlans: fc.Arbitrary<Written> = fc.record({
  serial: fc.integer({ min: 1, max: 1000 }),
  channels: fc.record({
    stable: fc.record({ versions: range }),
    beta: fc.record({ versions: range, prereleases: fc.boolean() }),
    lab: fc.record({ version }),
  }),
  default: channelName,
  units: fc.array(rule, { maxLength: 4 }),
  rollouts: fc.uniqueArray(rollout, { maxLength: 5, selector: (one) => one.version }),
  yanked: fc.uniqueArray(version, { maxLength: 2 }),
});

/** Newest first, as catalogues are. */
export const shelves: fc.Arbitrary<readonly Shelved[]> = fc
  .tuple(
    fc.subarray([...VERSIONS]),
    fc.array(optional(fc.constantFrom<'rev-a' | 'rev-b'>('rev-a', 'rev-b')), { minLength: 12, maxLength: 12 }),
    fc.array(optional(range), { minLength: 12, maxLength: 12 }),
  )
  .map(([versions, hardware, requires]) =>
    versions.map((one, i) => ({
      version: one,
      // Most releases have no conditions.
      ...(i % 3 === 0 && hardware[i] !== undefined && { hardware: hardware[i] }),
      ...(i % 4 === 1 && requires[i] !== undefined && { requires: requires[i] }),
    })),
  );

export const situations: fc.Arbitrary<Situation> = fc.record({
  unit: fc.option(unitId, { nil: undefined, freq: 2 }),
  running: fc.option(
    fc.oneof(
      { weight: 8, arbitrary: version },
      { weight: 1, arbitrary: fc.constantFrom('v1.4.2', 'nightly', '1.5.0_build.7', '') },
    ),
    { nil: undefined, freq: 2 },
  ),
  hardware: optional(fc.constantFrom('rev-a', 'REV-B', 'x'.repeat(128))),
  channel: optional(fc.constantFrom('stable', 'beta', 'lab', 'nope', '__proto__')),
  attributes: optional(
    fc.record({
      site: fc.constantFrom('Berlin-1', 'paris'),
      timezone: fc.constantFrom('Asia/Tokyo', 'No/Where', 'europe/berlin', '../etc'),
    }),
  ),
  failedVersion: optional(version),
  offeredVersion: optional(version),
  nowMs: fc.integer({ min: -2 * DAY, max: 20 * DAY }).map((offset) => BEGIN + offset),
  halted: fc.uniqueArray(version, { maxLength: 1 }),
  mayOffer: fc.boolean(),
});

/** A plan, a catalogue, and who asks when. */
export interface Case {
  readonly written: Written;
  readonly shelf: readonly Shelved[];
  readonly situation: Situation;
}

/** One rollout whose stages, window and start lie close around the unit and its time, so that each of them decides. */
const closeCases: fc.Arbitrary<Case> = fc
  .record({
    rollout,
    situation: situations,
    near: fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 4, maxLength: 4 }),
    zone: fc.constantFrom(...ZONES),
    hasWindow: fc.boolean(),
    stageDays: fc.integer({ min: 1, max: 6 }),
    someUnit: unitId,
  })
  .map(({ rollout: some, situation, near: [a = 0, b = 0, c = 0, d = 0], zone, hasWindow, stageDays, someUnit }) => {
    const { nowMs, unit = someUnit, attributes } = situation;
    const share = positionOf('esp32', '2.1.0', unit);
    const percents = [share / 2, Math.floor(share * 100 + a) / 100, share + 20].map((one) => Number(one.toFixed(4)));
    const stages = percents
      .filter((percent, i) => percent > (percents[i - 1] ?? 0) && percent <= 100)
      .map((percent, i) => ({ percent, for: `${i + stageDays}d` }));
    const own = attributes?.timezone;
    const minute = minuteIn(nowMs, own) ?? minuteIn(nowMs, zone) ?? 0;
    const window = { from: clockAt(minute + c), to: clockAt(minute + c + (d > 0 ? d : d - 1)), zone };
    const starts = new Date(nowMs - (stageDays + (hasWindow ? 1 : b)) * DAY + (c - 1) * 60_000).toISOString();
    const only: WrittenRollout = {
      version: '2.1.0',
      starts,
      // One thing decides at a time.
      ...(hasWindow ? { window, stages: [] } : { stages, rate: some.rate, paused: some.paused }),
    };
    return {
      written: {
        serial: 1,
        channels: { stable: { versions: '*' } },
        default: 'stable',
        units: [],
        rollouts: [only],
        yanked: [],
      },
      shelf: [{ version: '2.1.0' }, { version: '2.0.0' }],
      situation: { ...situation, unit, running: '1.0.0', failedVersion: undefined, halted: [] },
    };
  });

export const cases: fc.Arbitrary<Case> = fc.oneof(
  fc.record({ written: writtenPlans, shelf: shelves, situation: situations }),
  closeCases,
);

const clockAt = (minute: number): string => {
  const inDay = (minute + 2 * 1_440) % 1_440;
  return `${String(Math.floor(inDay / 60)).padStart(2, '0')}:${String(inDay % 60).padStart(2, '0')}`;
};

function minuteIn(ms: number, timeZone: string | undefined): number | undefined {
  const text = localTime(ms, timeZone);
  return text === undefined ? undefined : Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
}

/** The YAML text of a plan. Keys without a value are left out. */
export function planText(plan: Written): string {
  return stringify(JSON.parse(JSON.stringify(plan)) as unknown);
}
