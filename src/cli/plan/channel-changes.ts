import { ConfigError, OtaError } from '../../errors.js';
import { compareVersions, newestFirst } from '../../firmware/select-version.js';
import type { Channel, Plan } from '../../plan/plan.js';
import { isGood } from '../checked-version.js';
import type { Change } from './change-plan.js';
import { parsedPlan } from './checked-plan.js';
import type { PlanContext } from './plan-context.js';
import { notesOnVersion, versionIn } from './version-notes.js';

/** The options of `channel set`. */
export interface ChannelOptions {
  readonly versions?: string;
  readonly pin?: string;
  readonly withPrereleases?: boolean;
  readonly withoutPrereleases?: boolean;
  readonly default?: boolean;
  readonly force?: boolean;
}

/** `channel set`: creates a channel, or changes it. */
export function setChannel(context: PlanContext, name: string, options: ChannelOptions): Change {
  const { versions, pin, default: isDefault, force: isForced = false } = options;
  const prereleases = options.withPrereleases ? true : options.withoutPrereleases ? false : undefined;
  if (versions !== undefined && pin !== undefined) throw new ConfigError('--versions and --pin: expected one of them');
  return async (plan) => {
    const isNew = !plan.channels.includes(name);
    if (isNew && versions === undefined && pin === undefined)
      throw new ConfigError(
        `the plan has no channel ${name}. To create it, give its versions: --versions ">=1.0.0", or --pin 1.0.0`,
      );
    const version = pin === undefined ? undefined : versionIn(pin);
    const notes = version === undefined ? [] : await notesOnVersion(context, version, { isForced });
    plan.setChannel(name, { versions, version, prereleases });
    if (isDefault) plan.defaultChannel = name;
    return [
      ...notes,
      ...(isNew
        ? [`Units get it by a rule in units, by otaflux pin --channel ${name}, or by naming it: &channel=${name}.`]
        : []),
    ];
  };
}

/** `channel remove`: removes a channel that nothing names. */
export function removeChannel(name: string): Change {
  return (plan) => {
    plan.demandChannel(name);
    if (plan.defaultChannel === name)
      throw new OtaError(
        'protocol',
        `${name} is the default channel. Make another one the default first: otaflux channel set OTHER --default`,
      );
    plan.removeChannel(name);
    return [];
  };
}

/** `pin`: gives a unit exactly one version, or a channel. */
export function pinUnit(
  context: PlanContext,
  unit: string,
  given: string | undefined,
  { channel, force: isForced = false }: { readonly channel?: string; readonly force?: boolean },
): Change {
  if ((given === undefined) === (channel === undefined))
    throw new ConfigError('expected a version or --channel, as in "otaflux pin esp32 24:6f:28:aa:bb:cc 1.4.2"');
  return async (plan) => {
    if (channel !== undefined) {
      plan.demandChannel(channel);
      plan.assign(unit, { channel });
      return [`${unit} gets the versions of ${channel}.`];
    }
    const version = versionIn(given ?? '');
    const notes = await notesOnVersion(context, version, { isForced });
    if (plan.yanked.includes(version))
      notes.push(`${version} is yanked, so no unit is offered it. Run otaflux unyank.`);
    plan.assign(unit, { version });
    return [
      ...notes,
      `${unit} is offered ${version}, also if it runs a newer version, and stays with it until otaflux unpin.`,
    ];
  };
}

/** `unpin`: removes the rule of a unit. */
export function unpinUnit(unit: string): Change {
  return (plan) => {
    plan.unassign(unit);
    return [`${unit} gets what the other rules or the default channel say.`];
  };
}

/** `yank`: a version is never offered again. */
export function yankVersion(context: PlanContext, given: string): Change {
  const version = versionIn(given);
  return async (plan) => {
    const all = await context.all();
    const isThere = all.some((one) => one.version === version);
    plan.yank(version);
    return [
      ...(isThere ? [] : [`${version} is not in ${context.repository}. Check the version.`]),
      `${version} is not offered to any unit any more. Units that run it are offered what their channel says, even if that is older.`,
    ];
  };
}

/** `unyank`: a version may be offered again. */
export function unyankVersion(given: string): Change {
  const version = versionIn(given);
  return (plan) => {
    plan.unyank(version);
    return [`${version} may be offered again.`];
  };
}

/** `promote`: a channel gets exactly this version. */
export function promoteVersion(context: PlanContext, given: string, name: string, isForced: boolean): Change {
  const version = versionIn(given);
  return async (document) => {
    document.demandChannel(name);
    const plan = await parsedPlan(document);
    if (plan.yanked.has(version)) throw new OtaError('protocol', `${version} is yanked. Run otaflux unyank first`);
    const channel = demanded(plan, name);
    const notes = await notesOnVersion(context, version, { isForced });
    document.setChannel(name, { version });
    const rollout = plan.rollouts.find((one) => one.version === version && one.channels.has(name));
    return [
      ...notes,
      `${name} has exactly ${version} from now on${channel.range ? `, in place of the range ${channel.range.text}` : ''}.`,
      rollout
        ? 'Its units are offered it by the rollout of this version.'
        : `All its units are offered ${version}, also those that run a newer version.`,
    ];
  };
}

/** `rollback`: a channel gets exactly the version before the one that it offers. */
export function rollBack(
  context: PlanContext,
  given: string | undefined,
  to: string | undefined,
  isForced: boolean,
): Change {
  return async (document) => {
    if (given !== undefined) document.demandChannel(given);
    const plan = await parsedPlan(document);
    const channel = given === undefined ? plan.defaultChannel : demanded(plan, given);
    const current = await currentOf(context, plan, channel);
    const version = to === undefined ? await versionBefore(context, plan, channel, current) : versionIn(to);
    const notes = to === undefined ? [] : await notesOnVersion(context, version, { isForced });
    document.setChannel(channel.name, { version });
    return [
      ...notes,
      `${channel.name} goes back from ${current ?? 'no version'} to ${version}.`,
      `Units of ${channel.name} that run another version are offered ${version}, also those that run a newer one. Clients that only install newer versions do not take it.`,
      `No newer version is offered in ${channel.name} before otaflux channel set ${context.product} ${channel.name} --versions "${channel.range?.text ?? '>=' + version}".`,
    ];
  };
}

function demanded(plan: Plan, name: string): Channel {
  const channel = plan.channels.get(name);
  if (!channel) throw new OtaError('absent', `the plan has no channel ${name}`);
  return channel;
}

/** What the channel offers to those that a rollout has reached. */
async function currentOf(context: PlanContext, plan: Plan, channel: Channel): Promise<string | undefined> {
  if (channel.version !== undefined) return channel.version;
  return firstGood(context, plan, (version) => channel.includes(version));
}

async function versionBefore(
  context: PlanContext,
  plan: Plan,
  channel: Channel,
  current: string | undefined,
): Promise<string> {
  // A channel with exactly one version may go back to any older one.
  const isOlder = (version: string): boolean => current === undefined || compareVersions(version, current) < 0;
  const before = await firstGood(
    context,
    plan,
    (version) => isOlder(version) && (channel.range ? channel.includes(version) : !version.includes('-')),
  );
  if (before !== undefined) return before;
  throw new OtaError(
    'absent',
    `${context.repository} has no version before ${current ?? 'the current one'} that ${channel.name} may have. Name one with --to`,
  );
}

/** The newest version that the server may offer and `isMeant` selects. */
async function firstGood(
  context: PlanContext,
  plan: Plan,
  isMeant: (version: string) => boolean,
): Promise<string | undefined> {
  const tags = (await context.all()).map(({ tag }) => tag);
  for (const { version } of newestFirst(tags, context.settings)) {
    if (plan.yanked.has(version) || !isMeant(version)) continue;
    const checked = await context.check(version);
    if (checked && isGood(checked)) return version;
  }
  return undefined;
}

/** Returns the channels of a plan, as lines of a table. */
export function channelRows(plan: Plan): string[][] {
  return [...plan.channels.values()].map(({ name, version, range, prereleases }) => [
    name,
    version ?? range?.text ?? '-',
    prereleases ? 'yes' : 'no',
    name === plan.defaultChannel.name ? 'yes' : 'no',
    plan.rollouts
      .filter(({ channels }) => channels.has(name))
      .map((rollout) => rollout.version)
      .join(', ') || '-',
  ]);
}
