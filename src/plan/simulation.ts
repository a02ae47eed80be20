import { compareWithBuild, parseVersion } from '../semver.js';
import type { Catalogue, Servable } from './catalogue.js';
import type { Plan, Rollout } from './plan.js';
import { PlanSelector } from './plan-selector.js';
import { advance, haltReason, stageAt, type ReachedStage } from './stages.js';
import { Standings, type RolloutStanding } from './standing.js';
import { isOpen } from './window.js';

/** The units of a simulation, and what they do. */
export interface SimulationOptions {
  readonly product: string;
  readonly units: number;
  readonly fromMs: number;
  readonly durationMs: number;
  /** How often each unit asks. */
  readonly pollMs: number;
  /** What the units run at first, and other releases that the registry has. Versions that the plan names are added. */
  readonly running: string;
  readonly releases: readonly string[];
  /** The channel that the units ask for. */
  readonly channel: string | undefined;
  /** Share of the units that fail to install a version, 0 to 1. */
  failing(version: string): number;
  /** Share of the units that take a release and are not heard of again, 0 to 1. */
  readonly silent: number;
  readonly seed: number;
  /** How often a sample is taken. */
  readonly sampleMs: number;
}

/** How far a rollout was at a time. */
export interface Sample {
  readonly atMs: number;
  readonly version: string;
  /** From 0; -1 before the start. */
  readonly stage: number;
  /** Share of the units that may be offered the version, 0 to 100. */
  readonly percent: number;
  readonly offered: number;
  readonly installed: number;
  readonly failed: number;
  readonly silent: number;
  readonly halted: string | undefined;
}

/** A change of a rollout: a stage, or a halt. */
export interface Happening {
  readonly atMs: number;
  readonly version: string;
  readonly what: string;
}

export interface Simulation {
  readonly samples: readonly Sample[];
  readonly happenings: readonly Happening[];
  /** Units by what they run at the end, most first. */
  readonly running: readonly (readonly [version: string, units: number])[];
}

/** Parts of the poll interval: units ask at different times. */
const TICKS_PER_POLL = 15;
/** Asking twice a second more changes nothing that a chart shows. */
const MIN_TICK_MS = 1_000;
const NONE = -1;

/** How a rollout is, in the simulation. */
interface Course {
  readonly rollout: Rollout;
  standing: RolloutStanding & { mayOffer: boolean };
  noted: ReachedStage | undefined;
  readonly tally: { offered: number; installed: number; failed: number; silent: number };
  /** Offers that the rate allows now. */
  tokens: number;
  isOpen: boolean;
}

/** Lets units ask a server with this plan, by its own selection and its own stages. The same options give the same course. */
export function simulate(plan: Plan, options: SimulationOptions): Simulation {
  return new Model(plan, options).run();
}

class Model extends Standings {
  private readonly selector = new PlanSelector();
  private readonly catalogue: Catalogue;
  private readonly versions: readonly string[];
  private readonly courses: readonly Course[];
  private readonly byVersion: ReadonlyMap<string, Course>;
  private readonly tickMs: number;
  /** Of each unit, as indices of `versions`. */
  private readonly running: Int16Array;
  private readonly offered: Int16Array;
  private readonly failed: Int16Array;
  private readonly installing: Int16Array;
  private readonly isSilent: Uint8Array;
  /** The state of the rollouts at the last answer of a unit: it gets the same answer until that changes. */
  private readonly answeredIn: Int32Array;
  /** Whether a rate allowed no offer at that answer: then the unit asks again when it does. */
  private readonly wasLimited: Uint8Array;
  private isLimited = false;
  private epoch = 0;
  private readonly happenings: Happening[] = [];
  private readonly samples: Sample[] = [];

  constructor(
    plan: Plan,
    private readonly options: SimulationOptions,
  ) {
    super();
    this.versions = versionsOf(plan, options);
    const releases = this.versions.map((version): Servable => ({ version, manifestDigest: version }));
    this.catalogue = { product: options.product, plan, releases };
    this.tickMs = Math.max(options.pollMs / TICKS_PER_POLL, Math.min(MIN_TICK_MS, options.pollMs));
    this.courses = plan.rollouts.map((rollout) => ({
      rollout,
      standing: { stage: -1, halted: undefined, mayOffer: true },
      noted: undefined,
      tally: { offered: 0, installed: 0, failed: 0, silent: 0 },
      tokens: 0,
      isOpen: true,
    }));
    this.byVersion = new Map(this.courses.map((course) => [course.rollout.version, course]));
    const { units } = options;
    this.running = new Int16Array(units).fill(this.versions.indexOf(options.running));
    this.offered = new Int16Array(units).fill(NONE);
    this.failed = new Int16Array(units).fill(NONE);
    this.installing = new Int16Array(units).fill(NONE);
    this.isSilent = new Uint8Array(units);
    this.answeredIn = new Int32Array(units).fill(NONE);
    this.wasLimited = new Uint8Array(units);
  }

  override of(_product: string, rollout: Rollout): RolloutStanding {
    return this.byVersion.get(rollout.version)?.standing ?? { stage: -1, halted: undefined, mayOffer: true };
  }

  run(): Simulation {
    const { fromMs, durationMs, pollMs, sampleMs, units } = this.options;
    const buckets = Math.max(1, Math.round(pollMs / this.tickMs));
    let sampleAt = fromMs;
    for (let tick = 0; ; tick++) {
      const nowMs = fromMs + tick * this.tickMs;
      for (const course of this.courses) this.look(course, nowMs);
      this.noteLimits();
      for (; sampleAt <= nowMs && sampleAt <= fromMs + durationMs; sampleAt += sampleMs) this.sample(sampleAt);
      if (nowMs >= fromMs + durationMs) break;
      for (let unit = tick % buckets; unit < units; unit += buckets) this.ask(unit, nowMs);
    }
    return { samples: this.samples, happenings: this.happenings, running: this.counts() };
  }

  /** Lets a rollout go on, as the server does every second. */
  private look(course: Course, nowMs: number): void {
    const { rollout, standing, tally } = course;
    const halted = standing.halted ?? haltReason(rollout, tally);
    if (halted === undefined) course.noted = advance(rollout, course.noted, tally, nowMs) ?? course.noted;
    const stage = halted === undefined ? stageAt(rollout, course.noted, nowMs) : standing.stage;
    const open = rollout.window === undefined || isOpen(rollout.window, nowMs);
    if (rollout.rate) {
      const perTick = (rollout.rate.offers / rollout.rate.perMs) * this.tickMs;
      course.tokens = Math.min(course.tokens + perTick, Math.max(perTick, 1));
    }
    const mayOffer = rollout.rate === undefined || course.tokens >= 1;
    const isPaused = nowMs >= rollout.pausedAtMs;
    if (halted !== standing.halted)
      this.happenings.push({ atMs: nowMs, version: rollout.version, what: `halted: ${halted ?? ''}` });
    else if (stage !== standing.stage)
      this.happenings.push({ atMs: nowMs, version: rollout.version, what: stageText(rollout, stage) });
    const isOther = halted !== standing.halted || stage !== standing.stage || (open && !isPaused) !== course.isOpen;
    course.isOpen = open && !isPaused;
    course.standing = { stage, halted, mayOffer };
    if (isOther) this.epoch++;
  }

  private ask(unit: number, nowMs: number): void {
    if (this.isSilent[unit] === 1) return;
    const installing = this.installing[unit] ?? NONE;
    if (installing !== NONE) this.finish(unit, installing);
    else if (this.answeredIn[unit] === this.epoch && (this.wasLimited[unit] === 0 || this.isLimited)) return;
    const { product, channel } = this.options;
    const asking = { product, unit: nameOf(unit), running: this.versions[this.running[unit] ?? 0], channel };
    const { release } = this.selector.select(this.catalogue, asking, nowMs, {
      rollouts: this,
      failedDigest: this.versions[this.failed[unit] ?? NONE],
      offeredDigest: this.versions[this.offered[unit] ?? NONE],
    });
    this.answeredIn[unit] = this.epoch;
    this.wasLimited[unit] = this.isLimited ? 1 : 0;
    if (release) this.take(unit, this.versions.indexOf(release.version));
  }

  private noteLimits(): void {
    this.isLimited = this.courses.some(({ standing }) => !standing.mayOffer);
  }

  private take(unit: number, index: number): void {
    const version = this.versions[index] ?? '';
    const course = this.byVersion.get(version);
    if (course && this.offered[unit] !== index) {
      course.tally.offered++;
      course.tokens--;
      course.standing.mayOffer = course.rollout.rate === undefined || course.tokens >= 1;
      this.noteLimits();
    }
    this.offered[unit] = index;
    if (this.chance(unit, version, 'silent') < this.options.silent) {
      this.isSilent[unit] = 1;
      if (course) course.tally.silent++;
    } else this.installing[unit] = index;
  }

  /** The unit comes back after an install, and reports how it ended. */
  private finish(unit: number, index: number): void {
    const version = this.versions[index] ?? '';
    const course = this.byVersion.get(version);
    this.installing[unit] = NONE;
    if (this.chance(unit, version, 'failed') < this.options.failing(version)) {
      this.failed[unit] = index;
      if (course) course.tally.failed++;
    } else {
      this.running[unit] = index;
      if (course) course.tally.installed++;
    }
  }

  /** 0 to below 1, the same for the same seed. Unlike the share of the unit in its stages. */
  private chance(unit: number, version: string, what: string): number {
    let state = this.options.seed ^ Math.imul(unit + 1, 0x9e3779b1);
    for (const character of `${what}${version}`) state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x01000193);
    state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
    return ((state ^ (state >>> 16)) >>> 0) / 2 ** 32;
  }

  private sample(atMs: number): void {
    for (const { rollout, standing, tally } of this.courses) {
      const { stage, halted } = standing;
      const percent = halted !== undefined || stage < 0 ? 0 : (rollout.stages[stage]?.percent ?? 100);
      this.samples.push({ atMs, version: rollout.version, stage, percent, ...tally, halted });
    }
  }

  private counts(): [string, number][] {
    const counts = new Map<string, number>();
    for (const index of this.running) {
      const version = this.versions[index] ?? '';
      counts.set(version, (counts.get(version) ?? 0) + 1);
    }
    return [...counts].sort((a, b) => b[1] - a[1]);
  }
}

const nameOf = (unit: number): string => `unit-${unit + 1}`;

function stageText({ stages }: Rollout, stage: number): string {
  const current = stages[stage];
  if (stage < 0) return 'it has not started';
  return current
    ? `stage ${stage + 1} of ${stages.length}: ${current.percent} % of the units`
    : 'all units are offered it';
}

/** Newest first. */
function versionsOf(plan: Plan, { running, releases }: SimulationOptions): string[] {
  const named = [
    ...[...plan.channels.values()].map(({ version }) => version),
    ...plan.units.map(({ version }) => version),
    ...plan.rollouts.map(({ version }) => version),
    ...releases,
    running,
  ].filter((version) => version !== undefined);
  return [...new Set(named)].sort((a, b) => {
    const [first, second] = [parseVersion(a), parseVersion(b)];
    return first && second ? compareWithBuild(second, first) : 0;
  });
}
