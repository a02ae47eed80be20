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
  /** IANA time zone that counts for units that report none. */
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
  /** When it was paused: its stages stand still since then. `Infinity` if it is not paused, `-Infinity` if not known. */
  readonly pausedAtMs: number;
  readonly downgrade: boolean;
  /** 1, or how often the rollout was begun after a halt. */
  readonly attempt: number;
}

/** The content of a plan, checked. */
export interface Plan {
  readonly serial: number;
  readonly channels: ReadonlyMap<string, Channel>;
  readonly defaultChannel: Channel;
  readonly units: readonly UnitRule[];
  readonly rollouts: readonly Rollout[];
  /** Versions that are never offered. */
  readonly yanked: ReadonlySet<string>;
}

/** A version, and its parsed form. */
export type ParsedVersion = SemanticVersion;
