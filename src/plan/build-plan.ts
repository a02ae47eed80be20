import { ONLY_CHANNEL } from './check-plan.js';
import * as kinds from './kinds.js';
import type { Finding } from './finding.js';
import type { Channel, Plan, PlanProblem, Range, Rollout, Threshold, UnitRule } from './plan.js';
import type { PlanContent } from './schema.js';
import {
  conditionTest,
  lazyMatcher,
  MAX_LOOKUPS,
  MAX_TRIED,
  UnitRules,
  type AttributeTest,
  type IndexedRule,
} from './unit-rules.js';

type Contents<K extends 'units' | 'rollouts'> = NonNullable<PlanContent[K]>[number];
type ChannelContent = NonNullable<PlanContent['channels']>[string];

/** Fewer installs say little: one of ten may fail by chance. */
const LEAST = 20;

/** Makes a plan of checked content. `tooSlow`: its rules would make each answer slow. */
export function buildPlan(content: PlanContent, warnings: readonly PlanProblem[]): { plan: Plan; tooSlow?: Finding } {
  const channels = new Map(
    Object.entries(content.channels ?? { [ONLY_CHANNEL]: ALL }).map(([name, channel]) => [
      name,
      channelOf(name, channel),
    ]),
  );
  const [first] = channels.values();
  const defaultChannel = channels.get(content.default ?? '') ?? first ?? channelOf(ONLY_CHANNEL, ALL);
  const indexed = (content.units ?? []).map(ruleOf);
  const rules = new UnitRules(indexed);
  const rollouts = (content.rollouts ?? []).map((rollout) => rolloutOf(rollout, defaultChannel.name));
  const plan: Plan = {
    serial: content.serial,
    product: content.product,
    channels,
    defaultChannel,
    units: indexed.map(({ rule }) => rule),
    ruleOf: (unit) => rules.find(unit),
    rollouts,
    rolloutOf: new Map(rollouts.map((rollout) => [rollout.version, rollout])),
    yanked: new Set(content.yanked),
    warnings,
  };
  const message = slowness(rules);
  return message === undefined ? { plan } : { plan, tooSlow: { path: ['units'], message } };
}

const EVERY_VERSION: Range = { text: '*', includes: () => true };
const ALL: ChannelContent = { versions: EVERY_VERSION, prereleases: true };

function channelOf(name: string, { version, versions, prereleases = false }: ChannelContent): Channel {
  const range =
    prereleases && versions && versions !== EVERY_VERSION ? kinds.rangeWithPrereleases.read(versions.text) : versions;
  return {
    name,
    version,
    range,
    prereleases,
    includes: (candidate) => (version === undefined ? (range?.includes(candidate) ?? false) : candidate === version),
  };
}

function ruleOf({ match, where, channel, version }: Contents<'units'>): IndexedRule {
  const condition = { match, where: where ? Object.entries(where).map(attributeTest) : [] };
  // Most rules are looked up, and never tried.
  let test: UnitRule['matches'] | undefined;
  const rule: UnitRule = {
    // Only people want to know it.
    get text() {
      return ruleText(match, where);
    },
    matches: (unit) => (test ??= conditionTest(condition))(unit),
    channel,
    version,
  };
  return { rule, condition };
}

function ruleText(match: string | undefined, where: Readonly<Record<string, string>> = {}): string {
  const conditions = Object.entries(where).map(([name, glob]) => `${name}: ${JSON.stringify(glob)}`);
  return [
    ...(match === undefined ? [] : [`match: ${JSON.stringify(match)}`]),
    ...(conditions.length === 0 ? [] : [`where: { ${conditions.join(', ')} }`]),
  ].join(', ');
}

function attributeTest([attribute, glob]: [string, string]): AttributeTest {
  if (attribute !== 'running') return { attribute, glob, test: lazyMatcher(glob) };
  const range = kinds.rangeWithPrereleases.read(glob);
  return { attribute, glob: undefined, test: (running) => range?.includes(kinds.plainVersion(running) ?? '') ?? false };
}

function rolloutOf(rollout: Contents<'rollouts'>, defaultChannel: string): Rollout {
  const { version, channels, from, starts, stages = [], halt, rate, window, paused, downgrade, attempt = 1 } = rollout;
  const reached = attempt > 1 ? rollout.reached : 1;
  return {
    key: attempt === 1 ? version : `${version}#${attempt}`,
    version,
    channels: new Set(channels ?? [defaultChannel]),
    from,
    startsMs: starts ?? -Infinity,
    stages: stages.map((stage, i) => ({
      percent: stage.percent,
      forMs: stage.for ?? 0,
      // Units that installed the version before a halt do not report again, so a stage would wait for them for ever.
      until:
        stage.until &&
        threshold(stage.until.succeeded, attempt > 1 && i <= (reached ?? Infinity) - 1 ? 0 : stage.until.least),
    })),
    halt: halt && threshold(halt.failed, halt.least),
    rate,
    window: window && { fromMinute: window.from, toMinute: window.to, zone: window.zone ?? 'UTC' },
    pausedAtMs: paused ?? Infinity,
    downgrade: downgrade ?? false,
    attempt,
    reached: Math.min((reached ?? 1) - 1, stages.length),
  };
}

function threshold(share: number, least = LEAST): Threshold {
  return { share, least };
}

function slowness(rules: UnitRules): string | undefined {
  if (rules.triedCount > MAX_TRIED)
    return `${rules.triedCount} rules have to be tried one by one for each unit, more than the limit of ${MAX_TRIED}. These are rules with several conditions, with a range, or with a glob that has more than one * at its begin or end`;
  return rules.lookupCount > MAX_LOOKUPS
    ? `the rules ask for more than ${MAX_LOOKUPS} attributes. Expected fewer`
    : undefined;
}
