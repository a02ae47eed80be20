import picomatch from 'picomatch';
import semver from 'semver';
import { localTime, positionOf } from './facts.js';
import type { Shelved, Situation, Written, WrittenRollout } from './random-plans.js';

/**
 * What section 2 of the plan's specification says, written from its sentences, slowly, and without the code of src/plan.
 * `mayHave` answers for one version; nothing else is offered.
 */
export class Oracle {
  private readonly runs: string | undefined;

  constructor(
    private readonly product: string,
    private readonly plan: Written,
    private readonly situation: Situation,
  ) {
    const plain = situation.running?.replace(/^v(?=\d)/, '').replace('_', '+');
    this.runs = plain !== undefined && semver.valid(plain) !== null ? plain : undefined;
  }

  /** The version that the first rule pins the unit to. */
  get pin(): string | undefined {
    return this.rule?.version;
  }

  get channel(): string {
    const { plan, rule, situation } = this;
    if (rule?.channel !== undefined) return rule.channel;
    const named = situation.channel;
    return named !== undefined && Object.hasOwn(plan.channels, named) ? named : plan.default;
  }

  /** The highest release that a unit gets for going up, or undefined. Downgrades are left to `forbids`. */
  highest(shelf: readonly Shelved[]): Shelved | undefined {
    const { runs, situation } = this;
    // It may run what is closed for now already, and an older release would send it back until the next window.
    const isUnknown = situation.unit === undefined && situation.running === undefined;
    for (const one of [...shelf].sort((a, b) => semver.compareBuild(b.version, a.version))) {
      const reason = this.forbids(one);
      if (reason === undefined && (runs === undefined || semver.compareBuild(one.version, runs) > 0)) return one;
      if (isUnknown && (reason === 'window' || reason === 'paused')) return undefined;
    }
    return undefined;
  }

  /** Why a unit must not be offered a release, or undefined. */
  forbids({ version, hardware, requires }: Shelved): string | undefined {
    const { plan, situation, pin, runs } = this;
    if (plan.yanked.includes(version)) return 'yanked';
    const rollout = plan.rollouts.find((one) => one.version === version);
    if (rollout && situation.halted.includes(version)) return 'halted';
    if (situation.failedVersion === version) return 'failed';
    if (hardware !== undefined && situation.hardware !== undefined && hardware !== situation.hardware.toLowerCase())
      return 'hardware';
    if (requires !== undefined && (runs === undefined || !inRange(runs, requires, true))) return 'requires';
    if (pin !== undefined) return version === pin ? undefined : 'pinned to another one';
    const channel = plan.channels[this.channel];
    if (channel?.version !== undefined && channel.version !== version) return 'not the one of the channel';
    if (channel?.versions !== undefined && !inRange(version, channel.versions, channel.prereleases === true))
      return 'not in the channel';
    const concerned = rollout?.channels ?? [plan.default];
    const applies = rollout !== undefined && concerned.includes(this.channel);
    if (applies) {
      const reason = this.beyond(rollout);
      if (reason !== undefined) return reason;
    }
    const isLower = runs !== undefined && semver.compareBuild(version, runs) < 0;
    const mayBeLower =
      channel?.version !== undefined ||
      rollout?.downgrade === true ||
      (runs !== undefined && plan.yanked.includes(runs));
    return isLower && !mayBeLower ? 'lower' : undefined;
  }

  private beyond(rollout: WrittenRollout): string | undefined {
    const { situation, runs } = this;
    const pausedAt = typeof rollout.paused === 'string' ? Date.parse(rollout.paused) : undefined;
    const clock = pausedAt === undefined ? situation.nowMs : Math.min(situation.nowMs, pausedAt);
    let left = clock - Date.parse(rollout.starts);
    if (left < 0) return 'not started';
    if (rollout.from !== undefined && (runs === undefined || !inRange(runs, rollout.from, true))) return 'from';
    const { attempt = 1, reached } = rollout;
    const isResumed = attempt > 1;
    for (const [i, stage] of rollout.stages.entries()) {
      const number = i + 1;
      const lengthMs = Number(stage.for?.replace('d', '')) * 86_400_000;
      // A later attempt begins with the stage that was reached, which waits for no reports.
      const isPast = isResumed && number < (reached ?? 1);
      const waits = stage.until !== undefined && !(isResumed && number <= (reached ?? Infinity));
      if (isPast || (left >= lengthMs && !waits)) {
        left = stage.until !== undefined && !isPast ? 0 : left - lengthMs;
        continue;
      }
      if (situation.unit === undefined) return 'no unit';
      if (positionOf(this.product, rollout.version, situation.unit) >= stage.percent) return 'stage';
      break;
    }
    if (situation.offeredVersion === rollout.version) return undefined;
    if (rollout.paused === true) return 'paused for good';
    if (pausedAt !== undefined && situation.nowMs >= pausedAt) return 'paused';
    if (rollout.window && !this.isIn(rollout.window)) return 'window';
    // A client without a unit id cannot be counted.
    const isCounted = rollout.rate !== undefined && situation.unit !== undefined;
    return isCounted && !situation.mayOffer ? 'rate' : undefined;
  }

  private isIn({ from, to, zone = 'UTC' }: { from: string; to: string; zone?: string | undefined }): boolean {
    const own = this.situation.attributes?.timezone;
    const now = localTime(this.situation.nowMs, own) ?? localTime(this.situation.nowMs, zone) ?? '';
    return from < to ? from <= now && now < to : from <= now || now < to;
  }

  private get rule(): Written['units'][number] | undefined {
    return this.plan.units.find(({ match, where = {} }) => {
      if (match !== undefined && !matches(this.situation.unit, match)) return false;
      return Object.entries(where).every(([name, glob]) => {
        if (name === 'running') return this.runs !== undefined && inRange(this.runs, glob, true);
        if (name === 'hardware') return matches(this.situation.hardware, glob);
        const { attributes = {} } = this.situation;
        return Object.hasOwn(attributes, name) && matches(attributes[name], glob);
      });
    });
  }
}

function inRange(version: string, range: string, includePrerelease: boolean): boolean {
  return semver.satisfies(version, range, { includePrerelease });
}

/** By another library of globs. `*` also stands for slashes. */
function matches(text: string | undefined, glob: string): boolean {
  if (text === undefined) return false;
  const fold = (one: string): string => one.replaceAll('/', '\u0001').toLowerCase();
  return (
    picomatch.isMatch(fold(text), fold(glob), {
      dot: true,
      regex: false,
      noextglob: true,
      nobrace: true,
      nonegate: true,
    }) ||
    (glob === '*' && true)
  );
}
