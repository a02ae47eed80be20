import fc from 'fast-check';
import semver from 'semver';
import {
  advance,
  parsePlan,
  PlanError,
  PlanSelector,
  stageAt,
  Standings,
  type Catalogue,
  type Rollout,
  type RolloutStanding,
  type Selection,
  type Servable,
  type Standing,
} from '../../../src/plan/index.js';
import { Oracle } from './oracle.js';
import { BEGIN, cases, planText, writtenPlans, type Shelved, type Situation } from './random-plans.js';

const PRODUCT = 'esp32';

/** What is offered is what the oracle allows, and the highest of it; two replicas say the same. */
export function offersWhatThePlanSays(runs: number): void {
  fc.assert(
    fc.property(cases, ({ written, shelf, situation }) => {
      const text = planText(written);
      const selection = selectAs(text, shelf, situation);
      const again = selectAs(text, shelf, situation);
      const oracle = new Oracle(PRODUCT, written, situation);
      equal(summary(again), summary(selection), 'another replica says the same');
      const { release } = selection;
      if (release) {
        const shelved = shelf.find(({ version }) => version === release.version);
        equal(shelved && oracle.forbids(shelved), undefined, `${release.version} may be offered`);
        if (situation.running !== undefined) equal(release.version === situation.running, false, 'it is another one');
      }
      const highest = oracle.highest(shelf);
      // Going down is only checked for what is forbidden.
      const goesUp = highest && oracle.pin === undefined && written.channels[oracle.channel]?.version === undefined;
      if (goesUp && plain(situation.running) !== highest.version)
        equal(release?.version, highest.version, 'the highest is offered');
      else if (!highest && oracle.pin === undefined)
        equal(goesUpTo(release, situation), undefined, 'nothing is offered');
    }),
    { numRuns: runs },
  );
}

/** A unit that a rollout has reached stays reached: by the clock, and by reports. */
export function stagesNeverShrink(runs: number): void {
  const looks = fc.array(
    fc.record({ laterMs: fc.integer({ min: 0, max: 2 * 86_400_000 }), installed: fc.nat(20), failed: fc.nat(2) }),
    { minLength: 2, maxLength: 15 },
  );
  fc.assert(
    fc.property(writtenPlans, looks, fc.string({ minLength: 1 }), (written, steps, unit) => {
      const plan = parsePlan(planText({ ...written, units: [] }));
      for (const rollout of plan.rollouts) {
        let nowMs = BEGIN;
        let tally = { installed: 0, failed: 0 };
        let noted: ReturnType<typeof advance>;
        let before = { stage: -1, index: -1, isReached: false };
        for (const { laterMs, installed, failed } of steps) {
          nowMs += laterMs;
          tally = { installed: tally.installed + installed, failed: tally.failed + failed };
          noted = advance(rollout, noted, tally, nowMs) ?? noted;
          const stage = stageAt(rollout, noted, nowMs);
          const percent = stage < 0 ? 0 : (rollout.stages[stage]?.percent ?? 100);
          const isReached = reaches(rollout, unit, percent, stage, nowMs);
          equal(
            stage >= before.stage && (noted?.index ?? -1) >= before.index,
            true,
            `stage ${stage} after ${before.stage}`,
          );
          equal(isReached || !before.isReached, true, 'a reached unit stays reached');
          before = { stage, index: noted?.index ?? -1, isReached };
        }
      }
    }),
    { numRuns: runs },
  );
}

/** The version that is offered, if it is higher than what the unit runs. */
function goesUpTo(release: Servable | undefined, { running }: Situation): string | undefined {
  const runs = plain(running);
  if (release === undefined || (runs !== undefined && semver.valid(runs) === null)) return undefined;
  return runs === undefined || semver.compareBuild(release.version, runs) > 0 ? release.version : undefined;
}

/** Whether the selector offers the version of a rollout to a unit, if nothing but its stages holds it back. */
function reaches(rollout: Rollout, unit: string, percent: number, stage: number, nowMs: number): boolean {
  const channel = [...rollout.channels][0] ?? '';
  const text = planText({
    serial: 1,
    channels: { [channel]: { versions: '*', prereleases: true } },
    default: channel,
    units: [],
    rollouts: [
      {
        version: rollout.version,
        starts: new Date(BEGIN - 1e9).toISOString(),
        stages: percent > 0 && percent < 100 ? [{ percent, for: '300d' }] : [],
        ...(percent === 0 && { starts: new Date(nowMs + 1e9).toISOString() }),
      },
    ],
    yanked: [],
  });
  const plan = parsePlan(text);
  const catalogue = { product: PRODUCT, plan, releases: [entryOf({ version: rollout.version })] };
  const standing = { rollouts: new FixedStandings([], true) };
  const { release } = new PlanSelector().select(catalogue, { product: PRODUCT, unit }, nowMs, standing);
  return release !== undefined && stage >= 0;
}

export class FixedStandings extends Standings {
  constructor(
    private readonly halted: readonly string[],
    private readonly mayOffer: boolean,
  ) {
    super();
  }

  override of(_product: string, rollout: Rollout, nowMs: number): RolloutStanding {
    return {
      stage: stageAt(rollout, undefined, nowMs),
      halted: this.halted.includes(rollout.version) ? '3 of 40 installs failed' : undefined,
      mayOffer: rollout.rate === undefined || this.mayOffer,
    };
  }
}

/** Makes everything anew, as another replica does. */
export function catalogueOf(text: string, shelf: readonly Shelved[]): Catalogue {
  return { product: PRODUCT, plan: parsePlan(text), releases: shelf.map(entryOf) };
}

export function standingOf({ halted, mayOffer, failedVersion, offeredVersion }: Situation): Standing {
  return {
    rollouts: new FixedStandings(halted, mayOffer),
    failedDigest: failedVersion === undefined ? undefined : digestOf(failedVersion),
    offeredDigest: offeredVersion === undefined ? undefined : digestOf(offeredVersion),
  };
}

function selectAs(text: string, shelf: readonly Shelved[], situation: Situation): Selection {
  const { nowMs, unit, running, hardware, channel, attributes } = situation;
  const asking = { product: PRODUCT, unit, running, hardware, channel, attributes };
  const steps: string[] = [];
  const silent = new PlanSelector().select(catalogueOf(text, shelf), asking, nowMs, standingOf(situation));
  const told = new PlanSelector().select(
    catalogueOf(text, shelf),
    asking,
    nowMs,
    standingOf(situation),
    ({ subject, finding }) => {
      steps.push(`${subject}: ${finding}`);
    },
  );
  equal(summary(told), summary(silent), 'telling changes nothing');
  equal(steps.length >= 2 && steps.every((step) => !/undefined|NaN|\[object|\.$/.test(step)), true, steps.join('\n'));
  return silent;
}

function entryOf({ version, hardware, requires }: Shelved): Servable {
  return {
    version,
    manifestDigest: digestOf(version),
    conditions: {
      fitsHardware: hardware === undefined ? undefined : (given) => given.toLowerCase() === hardware,
      fitsVersion:
        requires === undefined
          ? undefined
          : (running) => semver.satisfies(running, requires, { includePrerelease: true }),
    },
  };
}

const digestOf = (version: string): string => `sha256:${version}`;
const plain = (running: string | undefined): string | undefined => running?.replace(/^v(?=\d)/, '').replace('_', '+');

function summary({ release, reason, about, channel }: Selection): string {
  return JSON.stringify([release?.version, reason, about?.version, channel]);
}

function equal(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: got ${String(actual)}, expected ${String(expected)}`);
}

/** What is put into the text of a plan. */
const DAMAGE = [
  ...[
    ':',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '*a',
    '&a ',
    '!!int ',
    '? ',
    '|',
    '>',
    '#',
    '%',
    '\t',
    '\n',
    '\n  ',
    ',',
  ],
  ...[
    'null',
    '~',
    '-1',
    '1e999',
    '0x10',
    'NaN',
    '.inf',
    'true',
    '9'.repeat(30),
    '__proto__: 1',
    'constructor',
    '\u0000',
    '\uFEFF',
    '😀',
  ],
  ...[
    '<<: *a',
    '---\n',
    '...\n',
    '2026-02-30T00:00:00Z',
    '>=1 ||',
    '[[[[[[',
    'a: &a [*a]\n',
    '1.x.y',
    '\\',
    '100%',
    '-5%',
  ],
];

/** A damaged plan is read, or refused with PlanError that says where. */
export function fuzzPlans(runs: number): void {
  const damages = fc.array(
    fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.nat(8), text: fc.constantFrom(...DAMAGE) }),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(
    fc.property(writtenPlans, damages, (written, all) => {
      let text = planText(written);
      for (const { at, length, text: put } of all) {
        const from = Math.floor(at * text.length);
        text = text.slice(0, from) + put + text.slice(from + length);
      }
      try {
        parsePlan(text, PRODUCT);
      } catch (error) {
        if (!(error instanceof PlanError)) throw error;
        equal(error.problems.length >= 1 && error.problems.length <= 50, true, 'it says what is wrong');
        for (const { line, column, path, message } of error.problems)
          equal(
            line >= 1 &&
              column >= 1 &&
              !/undefined|\[object|NaN(?!")/.test(path) &&
              message.length > 5 &&
              message.length < 400,
            true,
            `${line}:${column} ${path}: ${message}`,
          );
      }
    }),
    { numRuns: runs },
  );
}
