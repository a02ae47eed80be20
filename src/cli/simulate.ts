import { readFile, writeFile } from 'node:fs/promises';
import { text as streamText } from 'node:stream/consumers';
import { ConfigError } from '../errors.js';
import { fileProblem } from '../file-problem.js';
import {
  durationKind,
  parsePlan,
  PlanError,
  problemText,
  shareKind,
  simulate,
  versionKind,
  type Kind,
  type Plan,
  type Sample,
  type Simulation,
  type SimulationOptions,
} from '../plan/index.js';
import { chartOf } from './chart.js';
import { tableOf } from './table.js';

/** The options of `otaflux simulate`, as they were written. */
export interface SimulateFlags {
  readonly units: string;
  readonly days: string;
  readonly poll: string;
  readonly fail?: readonly string[];
  readonly silent: string;
  readonly running?: string;
  readonly releases?: string;
  readonly channel?: string;
  readonly product: string;
  readonly csv?: string;
  readonly seed: string;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Rows of the CSV for a rollout; more rows are no better chart. */
const MAX_SAMPLES = 1_000;
/** More than a minute of work. */
const MAX_ASKED = 2_000_000_000;
/** What units run if nothing says more. */
const LOWEST = '0.0.1';

/** Draws the course of the plan in a file; resolves to the exit code. */
export async function simulateFile(file: string, flags: SimulateFlags): Promise<number> {
  const plan = readPlan(file, await contentOf(file));
  if (plan.rollouts.length === 0)
    throw new ConfigError(`${file}: the plan has no rollouts, so there is nothing to draw. Add one, see docs/plan.md`);
  const options = optionsOf(plan, flags);
  const simulation = simulate(plan, options);
  if (flags.csv !== undefined) await writeCsv(flags.csv, csvOf(simulation.samples));
  if (flags.csv !== '-') process.stdout.write(`${report(plan, options, simulation).join('\n')}\n`);
  return simulation.samples.some(({ halted }) => halted !== undefined) ? 1 : 0;
}

async function contentOf(file: string): Promise<string> {
  if (file === '-') return streamText(process.stdin);
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`${file}: cannot read the plan: ${fileProblem(error)}`);
  }
}

function readPlan(file: string, content: string): Plan {
  try {
    return parsePlan(content);
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    throw new ConfigError(error.problems.map((problem) => `${file}: ${problemText(problem)}`).join('\n'));
  }
}

function optionsOf(plan: Plan, flags: SimulateFlags): SimulationOptions {
  const units = wholeNumber('--units', flags.units, 1, 10_000_000);
  const durationMs = wholeNumber('--days', flags.days, 1, 3_650) * DAY_MS;
  const pollMs = valueOf('--poll', flags.poll, durationKind);
  if (pollMs < 1_000) throw new ConfigError('--poll: expected a duration from 1s');
  if ((units * durationMs) / pollMs > MAX_ASKED)
    throw new ConfigError(
      '--units, --days and --poll: so many requests take too long to simulate. Use fewer units or days, or a longer interval',
    );
  const failing = failingOf(flags.fail ?? []);
  if (flags.channel !== undefined && !plan.channels.has(flags.channel))
    throw new ConfigError(
      `--channel: the plan has no channel ${JSON.stringify(flags.channel)}. Expected one of ${[...plan.channels.keys()].join(', ')}`,
    );
  const starts = plan.rollouts.map(({ startsMs }) => startsMs).filter(Number.isFinite);
  return {
    product: flags.product || (plan.product ?? 'device'),
    units,
    fromMs: starts.length > 0 ? Math.min(...starts) : Date.now(),
    durationMs,
    pollMs,
    running: flags.running === undefined ? lowestOf(plan) : valueOf('--running', flags.running, versionKind),
    releases: (flags.releases ?? '')
      .split(',')
      .map((version) => version.trim())
      .filter((version) => version !== '')
      .map((version) => valueOf('--releases', version, versionKind)),
    channel: flags.channel,
    failing: (version) => failing.get(version) ?? failing.get('') ?? 0,
    silent: valueOf('--silent', flags.silent, shareKind),
    seed: wholeNumber('--seed', flags.seed, 0, 2 ** 31),
    sampleMs: Math.max(HOUR_MS, Math.ceil(durationMs / MAX_SAMPLES / HOUR_MS) * HOUR_MS),
  };
}

/** The shares by version; that of all others has no name. */
function failingOf(written: readonly string[]): Map<string, number> {
  return new Map(
    written.map((text): [string, number] => {
      const [, version, share = ''] = /^(?:([^=]*)=)?(.*)$/s.exec(text) ?? [];
      return [
        version === undefined ? '' : valueOf('--fail', version, versionKind),
        valueOf('--fail', share, shareKind),
      ];
    }),
  );
}

/** The lowest version of common ones that all rollouts start from. */
function lowestOf({ rollouts, units, channels }: Plan): string {
  const ranges = rollouts.flatMap(({ from }) => from ?? []);
  const named = [
    ...[...channels.values()].map(({ version }) => version),
    ...units.map(({ version }) => version),
    ...ranges.flatMap(({ text }) => text.match(/\d+\.\d+\.\d+[-+.\w]*/g) ?? []),
  ].filter((version) => version !== undefined);
  return named.find((version) => ranges.length > 0 && ranges.every((range) => range.includes(version))) ?? LOWEST;
}

function report(plan: Plan, options: SimulationOptions, { samples, happenings, running }: Simulation): string[] {
  const { product, units, fromMs, durationMs, pollMs, seed } = options;
  const days = durationMs / DAY_MS;
  const lines = [
    `${product}: ${count(units, 'unit')} that run ${options.running}, ${count(days, 'day')} from ${timeText(fromMs)}`,
    `Each unit asks every ${pollMs / 60_000} minutes. Seed: ${seed}`,
  ];
  for (const { version } of plan.rollouts) {
    const own = samples.filter((sample) => sample.version === version);
    const columns = own.map(({ installed, percent }) => ({ done: (installed / units) * 100, allowed: percent }));
    lines.push('', `${version}: # units that have installed it, . units that may be offered it`);
    lines.push(...chartOf(columns, { fromMs, durationMs }));
  }
  const events = happenings.map(({ atMs, version, what }) => [timeText(atMs), version, what]);
  lines.push('', ...tableOf([['TIME', 'VERSION', 'EVENT'], ...events]));
  const ends = plan.rollouts.map(({ version }) => endOf(samples.filter((sample) => sample.version === version)));
  lines.push(
    '',
    ...tableOf([['VERSION', 'OFFERED', 'INSTALLED', 'FAILED', 'SILENT', 'SHARE'], ...ends.map(row(units))]),
  );
  const shown = running.slice(0, 5).map(([version, number]) => `${number} run ${version}`);
  return [...lines, '', `At the end, ${shown.join(', ')}.`];
}

const row =
  (units: number) =>
  ({ version, offered, installed, failed, silent }: Sample): string[] => [
    version,
    ...[offered, installed, failed, silent].map(String),
    `${((offered / units) * 100).toFixed(2)} %`,
  ];

function endOf(samples: readonly Sample[]): Sample {
  const last = samples.at(-1);
  if (!last) throw new RangeError('a simulation has at least one sample');
  return last;
}

/** RFC 4180, with lines that end like those of `otaflux units --csv`. */
function csvOf(samples: readonly Sample[]): string {
  const head = 'time,version,stage,percent,offered,installed,failed,silent,halted';
  const lines = samples.map(({ atMs, version, stage, percent, offered, installed, failed, silent, halted }) =>
    [timeText(atMs), version, stage + 1, percent, offered, installed, failed, silent, halted !== undefined].join(','),
  );
  return `${[head, ...lines].join('\r\n')}\r\n`;
}

async function writeCsv(file: string, content: string): Promise<void> {
  if (file === '-') {
    process.stdout.write(content);
    return;
  }
  try {
    await writeFile(file, content);
  } catch (error) {
    throw new ConfigError(`--csv: cannot write ${file}: ${fileProblem(error)}`);
  }
}

function valueOf<T>(option: string, text: string, kind: Kind<T>): T {
  const value = kind.read(text);
  if (value === undefined) throw new ConfigError(`${option}: got ${JSON.stringify(text)}, expected ${kind.expected}`);
  return value;
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,12}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new ConfigError(`${option}: got ${JSON.stringify(text)}, expected a whole number from ${min} to ${max}`);
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;
const timeText = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
