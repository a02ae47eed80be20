import type { SemanticVersion } from '../semver.js';

/** Tag of the plan in the repository of its product. It is no semantic version, so that it is never taken for firmware. */
export const PLAN_TAG = 'otaflux-plan';
/** `artifactType` of the manifest of a plan. */
export const PLAN_ARTIFACT_TYPE = 'application/vnd.otaflux.plan.v1';
/** Media type of the only layer of a plan. */
export const PLAN_MEDIA_TYPE = 'application/vnd.otaflux.plan.v1+yaml';

/** A semver range, parsed once. */
export interface Range {
  /** As it is written in the plan. */
  readonly text: string;
  /** Returns whether `version` (without `v`) is in the range. Never throws. */
  includes(version: string): boolean;
}

/** A set of units that get the same releases. */
export interface Channel {
  readonly name: string;
  /** The only version of the channel. Undefined if it has a range. */
  readonly version: string | undefined;
  /** The versions of the channel; the highest servable one is offered. Undefined if it has exactly one version. */
  readonly range: Range | undefined;
  /** Whether pre-releases of the range belong to the channel. */
  readonly prereleases: boolean;
  /** Returns whether a version (without `v`) belongs to the channel. Never throws. */
  includes(version: string): boolean;
}

/** Assigns units to a channel, or to exactly one version. The first rule that matches a unit counts. */
export interface UnitRule {
  /** As it is written in the plan, for people: `match: "lab-*"`. */
  readonly text: string;
  /** Returns whether the rule is about a unit. */
  matches(unit: PlannedUnit): boolean;
  readonly channel: string | undefined;
  readonly version: string | undefined;
}

/** What a rule may ask of a unit. */
export interface PlannedUnit {
  readonly unit?: string | undefined;
  readonly hardware?: string | undefined;
  readonly running?: string | undefined;
  /** What the unit has reported of itself, such as the configData of DDI. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** Share of units, and the least number of units of which it is taken. */
export interface Threshold {
  /** 0 to 1. */
  readonly share: number;
  readonly least: number;
}

export interface Stage {
  /** Share of all units that are in the stage, 0 to 100. */
  readonly percent: number;
  /** Minimum duration of the stage, in milliseconds. */
  readonly forMs: number;
  /** The stage does not end before this share of its finished installs has succeeded. */
  readonly until: Threshold | undefined;
}

/** Number of new offers in a time, over all units. */
export interface Rate {
  readonly offers: number;
  readonly perMs: number;
}

/** A time of the day in which new offers are made. */
export interface Window {
  /** Minutes after midnight, 0 to 1439. */
  readonly fromMinute: number;
  /** Minutes after midnight. Smaller than `fromMinute` if the window goes over midnight. */
  readonly toMinute: number;
  /** IANA time zone that counts for units that do not report a valid one in their attribute `timezone`. */
  readonly zone: string;
}

/** How one version gets to the units of its channels. */
export interface Rollout {
  /** Identifies what is counted of the rollout: `VERSION` or, after a halt that was lifted, `VERSION#ATTEMPT`. */
  readonly key: string;
  readonly version: string;
  readonly channels: ReadonlySet<string>;
  /** Versions that may be updated. Undefined: all. */
  readonly from: Range | undefined;
  /** Milliseconds since the epoch. `-Infinity` if the rollout has no stages and no start. */
  readonly startsMs: number;
  /** After the last one, everybody is offered the version. */
  readonly stages: readonly Stage[];
  /** The rollout stops when this share of its finished installs has failed. */
  readonly halt: Threshold | undefined;
  readonly rate: Rate | undefined;
  readonly window: Window | undefined;
  /**
   * When it was or will be paused: its stages stand still from then on. `Infinity` if it is not paused. `-Infinity` if the
   * plan does not say when: nothing new is offered, and its stages go on.
   */
  readonly pausedAtMs: number;
  readonly downgrade: boolean;
  /** 1, or how often the rollout was begun after a halt. */
  readonly attempt: number;
  /**
   * Index of the stage that it begins with: the one that was reached before a halt. The number of stages if everybody was
   * offered the version.
   */
  readonly reached: number;
}

/** The content of a plan, checked. */
export interface Plan {
  readonly serial: number;
  /** The only product that the plan is for. Undefined if it names none. */
  readonly product: string | undefined;
  readonly channels: ReadonlyMap<string, Channel>;
  readonly defaultChannel: Channel;
  readonly units: readonly UnitRule[];
  /** Returns the first rule that matches a unit. Never throws. */
  ruleOf(unit: PlannedUnit): UnitRule | undefined;
  readonly rollouts: readonly Rollout[];
  /** The rollouts by version: a version has at most one. */
  readonly rolloutOf: ReadonlyMap<string, Rollout>;
  /** Versions that are never offered. */
  readonly yanked: ReadonlySet<string>;
  /** What is allowed, but probably a mistake, such as a rollout of a version that is in none of its channels. */
  readonly warnings: readonly PlanProblem[];
}

/** What is wrong in a plan, and where. */
export interface PlanProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** Such as `rollouts[0].stages[1].for`. Empty for the whole document. */
  readonly path: string;
  /** What was wrong, and what was expected, as a sentence without its full stop. */
  readonly message: string;
}

/** A plan that cannot be taken, with all that is wrong in it. */
export class PlanError extends Error {
  override readonly name = 'PlanError';

  constructor(
    /** At least one, at most 50. */
    readonly problems: readonly PlanProblem[],
    options?: ErrorOptions,
  ) {
    const [first] = problems;
    const more = problems.length - 1;
    const rest = more > 0 ? ` (and ${more} more ${more === 1 ? 'problem' : 'problems'})` : '';
    super(first ? `${problemText(first)}${rest}` : 'the plan is wrong', options);
  }
}

/** One line for people: `line 3, column 5: rollouts[0].rate: got "fast", expected ...`. */
export function problemText({ line, column, path, message }: PlanProblem): string {
  return `line ${line}, column ${column}: ${path === '' ? '' : `${path}: `}${message}`;
}

/** A version, and its parsed form. */
export type ParsedVersion = SemanticVersion;
