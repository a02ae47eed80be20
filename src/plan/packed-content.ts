import * as kinds from './kinds.js';
import type { PlanContent } from './schema.js';

type ChannelContent = NonNullable<PlanContent['channels']>[string];
type RuleContent = NonNullable<PlanContent['units']>[number];
type RolloutContent = NonNullable<PlanContent['rollouts']>[number];
type Stages = NonNullable<RolloutContent['stages']>;

/** What a checked plan contains, apart from its serial. */
export type PackableContent = Omit<PlanContent, 'serial'>;

/** `null`, or nothing at the end of a row, stands for what the plan does not give. */
type Maybe<T> = T | null | undefined;
type PackedChannel = [name: string, versions: Maybe<string>, prereleases: Maybe<number>, version: Maybe<string>];
type PackedRule = [
  match: Maybe<string>,
  channel: Maybe<string>,
  version: Maybe<string>,
  where: Maybe<Record<string, string>>,
];
type PackedStage = [percent: number, forMs: Maybe<number>, succeeded: Maybe<number>, least: Maybe<number>];
type PackedRollout = [
  version: string,
  starts: Maybe<number>,
  stages: Maybe<PackedStage[]>,
  channels: Maybe<string[]>,
  from: Maybe<string>,
  halt: Maybe<[failed: number, least: Maybe<number>]>,
  rate: Maybe<[offers: number, perMs: number]>,
  window: Maybe<[from: number, to: number, zone: Maybe<string>]>,
  /** `true`: paused, without a time. */
  paused: Maybe<number | true>,
  downgrade: Maybe<number>,
  attempt: Maybe<number>,
  reached: Maybe<number>,
];
type Packed = [
  channels: Maybe<PackedChannel[]>,
  byDefault: Maybe<string>,
  units: Maybe<PackedRule[]>,
  rollouts: Maybe<PackedRollout[]>,
  yanked: Maybe<string[]>,
  product: Maybe<string>,
];

/** Returns the content as a short text, a few hundred characters for most plans. */
export function packed({ channels, default: byDefault, units, rollouts, yanked, product }: PackableContent): string {
  const all: Packed = [
    channels && Object.entries(channels).map(packedChannel),
    byDefault,
    units?.map(packedRule),
    rollouts?.map(packedRollout),
    yanked,
    product,
  ];
  return JSON.stringify(shortened(all));
}

/** Returns the content that was packed into `text`. */
export function unpacked(text: string): PackableContent {
  const [channels, byDefault, units, rollouts, yanked, product] = JSON.parse(text) as Packed;
  return {
    channels: channels ? Object.fromEntries(channels.map(channelOf)) : undefined,
    default: byDefault ?? undefined,
    units: units?.map(ruleOf),
    rollouts: rollouts?.map(rolloutOf),
    yanked: yanked ?? undefined,
    product: product ?? undefined,
  };
}

function packedChannel([name, { versions, prereleases, version }]: [string, ChannelContent]): PackedChannel {
  return shortened([name, versions?.text, flag(prereleases), version]);
}

function channelOf([name, versions, prereleases, version]: PackedChannel): [string, ChannelContent] {
  return [
    name,
    {
      versions: versions ? kinds.range.read(versions) : undefined,
      prereleases: prereleases === 1,
      version: version ?? undefined,
    },
  ];
}

function packedRule({ match, channel, version, where }: RuleContent): PackedRule {
  return shortened([match, channel, version, where]);
}

function ruleOf([match, channel, version, where]: PackedRule): RuleContent {
  return {
    match: match ?? undefined,
    channel: channel ?? undefined,
    version: version ?? undefined,
    where: where ?? undefined,
  };
}

function packedRollout(rollout: RolloutContent): PackedRollout {
  const { version, starts, stages, channels, from, halt, rate, window, paused, downgrade, attempt, reached } = rollout;
  return shortened([
    version,
    starts,
    stages?.map((stage): PackedStage =>
      shortened([stage.percent, stage.for, stage.until?.succeeded, stage.until?.least]),
    ),
    channels,
    from?.text,
    halt && shortened<[number, Maybe<number>]>([halt.failed, halt.least]),
    rate && [rate.offers, rate.perMs],
    window && shortened<[number, number, Maybe<string>]>([window.from, window.to, window.zone]),
    paused === -Infinity ? true : paused === Infinity ? undefined : paused,
    flag(downgrade),
    attempt,
    reached,
  ]);
}

function rolloutOf(packedOne: PackedRollout): RolloutContent {
  const [version, starts, stages, channels, from, halt, rate, window, paused, downgrade, attempt, reached] = packedOne;
  return {
    version,
    starts: starts ?? undefined,
    stages: stages?.map(stageOf),
    channels: channels ?? undefined,
    from: from ? kinds.rangeWithPrereleases.read(from) : undefined,
    halt: halt ? { failed: halt[0], least: halt[1] ?? undefined } : undefined,
    rate: rate ? { offers: rate[0], perMs: rate[1] } : undefined,
    window: window ? { from: window[0], to: window[1], zone: window[2] ?? undefined } : undefined,
    paused: paused === true ? -Infinity : (paused ?? undefined),
    downgrade: downgrade === 1,
    attempt: attempt ?? undefined,
    reached: reached ?? undefined,
  };
}

function stageOf([percent, forMs, succeeded, least]: PackedStage): Stages[number] {
  const until = typeof succeeded === 'number' ? { succeeded, least: least ?? undefined } : undefined;
  return { percent, for: forMs ?? undefined, until };
}

function flag(value: boolean | undefined): number | undefined {
  return value === true ? 1 : undefined;
}

/** Removes what is not given from the end of a row. */
function shortened<T extends unknown[]>(row: T): T {
  while (row.length > 0 && row.at(-1) === undefined) row.pop();
  return row;
}
