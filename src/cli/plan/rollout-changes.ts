import { ConfigError, OtaError } from '../../errors.js';
import { parsedPlan } from './checked-plan.js';
import type { Change } from './change-plan.js';
import type { PlanContext } from './plan-context.js';
import type { PlanDocument } from './plan-document.js';
import { rolloutEntry, timeText, type StageEntry, type StartOptions } from './rollout-options.js';
import { notesOnVersion, versionIn } from './version-notes.js';

/** `rollout start`: adds a rollout of a version. */
export function startRollout(
  context: PlanContext,
  given: string,
  options: StartOptions & { readonly force?: boolean },
  now: Date,
): Change {
  const version = versionIn(given);
  const entry = rolloutEntry(options, now);
  return async (plan) => {
    const channels = options.channel ?? [plan.defaultChannel];
    for (const channel of channels) plan.demandChannel(channel);
    demandStartable(plan, version);
    await demandContained(plan, version, channels, options.force ?? false);
    const notes = await notesOnVersion(context, version, { isLater: true });
    plan.addRollout({ version, channels, ...entry });
    return [...notes, courseOf(version, channels, entry)];
  };
}

function demandStartable(plan: PlanDocument, version: string): void {
  if (plan.rollouts.includes(version))
    throw new OtaError(
      'protocol',
      `the plan has a rollout of ${version} already. Change it with otaflux plan edit, or remove it with otaflux rollout finish or abort`,
    );
  if (plan.yanked.includes(version)) throw new OtaError('protocol', `${version} is yanked. Run otaflux unyank first`);
}

/** A rollout of a version that no channel has would offer it to nobody. */
async function demandContained(
  document: PlanDocument,
  version: string,
  channels: readonly string[],
  isForced: boolean,
): Promise<void> {
  const plan = await parsedPlan(document);
  for (const name of channels) {
    const channel = plan.channels.get(name);
    if (!channel || isForced) continue;
    if (channel.includes(version)) continue;
    throw new OtaError(
      'protocol',
      `channel ${name} does not contain ${version}: it has ${channel.version ?? channel.range?.text ?? 'nothing'}. Change it with otaflux channel set or promote, or use --force`,
    );
  }
}

/** What will happen, in a sentence. */
function courseOf(version: string, channels: readonly string[], entry: Record<string, unknown>): string {
  const stages = entry.stages as readonly StageEntry[];
  const steps = stages.map((stage) => `${stage.percent} % for ${stage.for}`);
  return `Offers ${version} to the units of ${channels.join(', ')} from ${String(entry.starts)}: ${[...steps, 'then everybody'].join(', ')}.`;
}

/** `rollout pause`: stops the clock of a rollout. */
export function pauseRollout(given: string | undefined, now: Date): Change {
  return (plan) => {
    const rollout = plan.rollout(given === undefined ? undefined : versionIn(given));
    const paused = rollout.get('paused');
    const version = String(rollout.get('version'));
    if (paused !== undefined && paused !== false)
      throw new OtaError(
        'protocol',
        `the rollout of ${version} is paused already. Run otaflux rollout resume to go on`,
      );
    rollout.set('paused', timeText(undefined, now));
    return [`No further unit is offered ${version}. Units that were offered it keep it, and the stage stands still.`];
  };
}

/** How a rollout goes on. */
export interface ResumeOptions {
  /** Whether servers have halted it. */
  readonly afterHalt?: boolean;
  /** The stage that it had reached, from 1. Undefined if that is not known. */
  readonly stage?: number | undefined;
  /** Whether a server was asked. */
  readonly isAsked?: boolean;
}

/** `rollout resume`: goes on after a pause or a halt. */
export function resumeRollout(given: string | undefined, options: ResumeOptions, now: Date): Change {
  return async (plan) => {
    const rollout = plan.rollout(given === undefined ? undefined : versionIn(given));
    const version = String(rollout.get('version'));
    const paused = rollout.get('paused');
    const isPaused = paused !== undefined && paused !== false;
    const { afterHalt, stage, isAsked } = options;
    if (!isPaused && !afterHalt)
      throw new OtaError(
        'protocol',
        isAsked
          ? `the rollout of ${version} is not paused, and the server has not halted it. If another server has, use --after-halt`
          : `the rollout of ${version} is not paused. If servers have halted it, use --after-halt, or --url to ask a server`,
      );
    rollout.delete('paused');
    if (afterHalt) return restart(plan, version, stage, now);
    const starts = rollout.get('starts');
    if (starts === undefined) return [`${version} is offered again.`];
    const since = paused === true ? undefined : new Date(textOf(paused));
    rollout.set('starts', timeText(shift(new Date(textOf(starts)), since, now).toISOString(), now));
    return [`The rollout of ${version} goes on ${since ? 'where it stood' : 'by its clock, which was not stopped'}.`];
  };
}

/** Begins another attempt, with the stage that was reached. Nobody knows when that was, so it gets its whole time. */
async function restart(
  document: PlanDocument,
  version: string,
  stage: number | undefined,
  now: Date,
): Promise<readonly string[]> {
  const rollout = document.rollout(version);
  rollout.set('attempt', Number(rollout.get('attempt') ?? 1) + 1);
  if (stage === undefined) rollout.delete('reached');
  else rollout.set('reached', stage);
  const stages = (await parsedPlan(document)).rolloutOf.get(version)?.stages ?? [];
  const starts = rollout.get('starts');
  const before = stages.slice(0, (stage ?? 1) - 1).reduce((sum, { forMs }) => sum + forMs, 0);
  if (starts !== undefined && new Date(textOf(starts)) < now)
    rollout.set('starts', timeText(new Date(now.getTime() - before).toISOString(), now));
  return [
    `The rollout of ${version} goes on ${placeOf(stage, stages.length)}.`,
    'Installs are counted anew. Units that have failed are not offered it again before otaflux units retry.',
  ];
}

function placeOf(stage: number | undefined, count: number): string {
  if (stage === undefined) return 'from its first stage';
  return stage > count ? 'for everybody, as before the halt' : `with stage ${stage} of ${count}, which begins anew`;
}

/** A start that was still to come when the rollout was stopped stays. */
function shift(starts: Date, since: Date | undefined, now: Date): Date {
  if (since === undefined || starts >= since) return starts;
  return new Date(starts.getTime() + Math.max(0, now.getTime() - since.getTime()));
}

/** The parser of YAML may have made a date of it. */
function textOf(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value);
}

/** `rollout finish`: offers the version to everybody now. */
export function finishRollout(given: string | undefined): Change {
  return (plan) => {
    const rollout = plan.rollout(given === undefined ? undefined : versionIn(given));
    const version = String(rollout.get('version'));
    const channels = channelsOf(rollout);
    if (rollout.get('from') !== undefined) {
      // Without the rollout, units that may not take the version would be offered it.
      for (const key of ['starts', 'stages', 'halt', 'rate', 'window', 'paused', 'attempt']) rollout.delete(key);
      return [`Offers ${version} to all units of ${channels} that run ${String(rollout.get('from'))} now.`];
    }
    plan.removeRollout(version);
    return [`Offers ${version} to all units of ${channels} now.`];
  };
}

/** `rollout abort`: removes the rollout, and yanks the version, which would otherwise be offered to everybody. */
export function abortRollout(given: string | undefined): Change {
  return async (document) => {
    const rollout = document.rollout(given === undefined ? undefined : versionIn(given));
    const version = String(rollout.get('version'));
    const own = new Set(channelsOf(rollout).split(', '));
    const { channels } = await parsedPlan(document);
    const others = [...channels.values()].filter((channel) => !own.has(channel.name) && channel.includes(version));
    document.removeRollout(version);
    document.yank(version);
    return [
      `${version} is not offered to any unit any more.`,
      `Units that run it are offered what their channel has without it, even if that is older. To leave them as they are, use otaflux rollout pause.`,
      ...(others.length > 0
        ? [
            `This also withdraws it from ${others.map(({ name }) => name).join(', ')}, which had no part in the rollout.`,
          ]
        : []),
    ];
  };
}

function channelsOf(rollout: { toJSON(): unknown }): string {
  const { channels } = rollout.toJSON() as { channels?: unknown };
  return Array.isArray(channels) ? channels.join(', ') : 'all channels';
}

/** Throws if a stop of two kinds is asked for at once. */
export function demandOne(options: Readonly<Record<string, unknown>>, names: readonly string[]): void {
  const given = names.filter((name) => options[name] !== undefined);
  if (given.length > 1)
    throw new ConfigError(`${given.map((name) => `--${name}`).join(' and ')}: expected one of them`);
}
