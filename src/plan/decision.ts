import { isSameVersion, type SemanticVersion } from '../semver.js';
import type { Catalogue, Servable } from './catalogue.js';
import { entriesOf, entriesWith, relationOf, type Entry, type Relation } from './entries.js';
import type { Channel, Plan, Rollout, UnitRule } from './plan.js';
import { runningVersion } from './running-version.js';
import type { Asking, Reason, Selection, Step } from './selector.js';
import { shareOf } from './shares.js';
import { isPaused } from './stages.js';
import type { FailedRelease, RolloutStanding, Standing } from './standing.js';
import { attributeOf } from './unit-rules.js';
import { clockText, isOpen, ZONE_ATTRIBUTE, zoneFor } from './window.js';

/** Why a release is not offered: it is passed over for an older one, or the search ends with it. */
interface Obstacle {
  readonly reason: Reason;
  /** For people, as a sentence without its full stop. Only called for those who want to know. */
  readonly finding: () => string;
}

/** Finds the release of one unit at one time. */
export class Decision<R extends Servable> {
  private readonly running: SemanticVersion | undefined;
  /** The rollout that was examined last, and how far it is: a decision asks several times. */
  private examined: Rollout | undefined;
  private examinedState: RolloutStanding | undefined;

  constructor(
    private readonly catalogue: Catalogue<R>,
    private readonly plan: Plan,
    private readonly asking: Asking,
    private readonly nowMs: number,
    private readonly standing: Standing,
    private readonly tell: ((step: Step) => void) | undefined,
  ) {
    this.running = asking.running === undefined ? undefined : runningVersion(asking.running);
  }

  select(): Selection<R> {
    this.tell?.({
      subject: 'plan',
      finding: `the plan of ${this.catalogue.product} has the serial ${this.plan.serial}`,
    });
    const rule = this.plan.ruleOf(this.asking);
    const channel = this.channelOf(rule);
    if (rule?.version !== undefined) return this.exactly(rule.version, channel, 'pin');
    return channel.version === undefined ? this.highest(channel) : this.exactly(channel.version, channel, 'channel');
  }

  private channelOf(rule: UnitRule | undefined): Channel {
    const { asking, plan } = this;
    const ofRule = rule?.channel === undefined ? undefined : plan.channels.get(rule.channel);
    const named = asking.channel === undefined ? undefined : plan.channels.get(asking.channel);
    const channel = ofRule ?? named ?? plan.defaultChannel;
    this.tell?.({ subject: 'unit', finding: this.assignment(rule, ofRule, named) });
    return channel;
  }

  /** The unit is offered one version, or nothing. It may be lower than what the unit runs. */
  private exactly(version: string, channel: Channel, by: 'pin' | 'channel'): Selection<R> {
    const [entry] = entriesWith(this.catalogue, this.plan, version);
    if (!entry) {
      this.say(
        version,
        'it cannot be served: the registry does not list it, it has no valid signature, or an option such as MIN_VERSION leaves it out',
      );
      return this.nothing('unavailable', undefined, channel);
    }
    const obstacle =
      this.forbidden(entry) ??
      (by === 'pin' ? undefined : this.heldBack(entry, channel)) ??
      this.same(entry) ??
      this.notFitting(entry);
    if (obstacle) {
      this.say(version, obstacle.finding());
      return this.nothing(obstacle.reason, entry.release, channel);
    }
    const why = by === 'pin' ? 'the plan pins the unit to it' : `it is the version of the channel ${channel.name}`;
    this.say(version, `it is offered: ${why}`);
    return { release: entry.release, reason: by, about: entry.release, channel: channel.name };
  }

  /** The unit is offered the highest version of its channel that has reached it and that it may take. */
  private highest(channel: Channel): Selection<R> {
    let passed: Passed<R> | undefined;
    for (const entry of entriesOf(this.catalogue, this.plan, channel)) {
      const { release } = entry;
      const forbidden = this.forbidden(entry);
      const end = forbidden ? undefined : this.lower(entry);
      const held = forbidden ?? end ?? this.heldBack(entry, channel);
      const obstacle = held ?? this.same(entry) ?? this.notFitting(entry);
      if (!obstacle) return this.offer(entry, channel);
      this.say(release.version, obstacle.finding());
      const { reason } = obstacle;
      if (obstacle === held && reason === 'waiting' && this.mayRunIt(entry, channel))
        return this.nothing(reason, release, channel);
      if (reason === 'newer' || reason === 'up-to-date')
        // That a higher version has failed is what an operator has to see.
        return passed?.reason === 'failed'
          ? this.nothing('failed', passed.about, channel)
          : this.nothing(reason, release, channel);
      if (!passed || (reason === 'failed' && passed.reason !== 'failed')) passed = { reason, about: release };
    }
    const finding = passed ? 'no release is left, so the unit is offered nothing' : 'no release of it can be served';
    this.tell?.({ subject: `channel ${channel.name}`, finding });
    return this.nothing(passed?.reason ?? 'unavailable', passed?.about, channel);
  }

  private offer({ release, rollout }: Entry<R>, channel: Channel): Selection<R> {
    const isRolledOut = rollout?.channels.has(channel.name) ?? false;
    const how = isRolledOut ? 'its rollout has reached the unit' : `it is the highest of the channel ${channel.name}`;
    this.say(release.version, `it is offered: ${how}`);
    return { release, reason: isRolledOut ? 'stage' : 'channel', about: release, channel: channel.name };
  }

  private nothing(reason: Reason, about: R | undefined, channel: Channel): Selection<R> {
    return { release: undefined, reason, about, channel: channel.name };
  }

  /** What is offered to nobody, not even to a pinned unit. */
  private forbidden({ release, isYanked, rollout }: Entry<R>): Obstacle | undefined {
    if (isYanked) return { reason: 'yanked', finding: () => 'it is yanked, so no unit is offered it' };
    const halted = rollout && this.stateOf(rollout).halted;
    return halted === undefined
      ? undefined
      : { reason: 'halted', finding: () => `the rollout of ${release.version} is halted: ${halted}` };
  }

  /** Why a rollout has not reached the unit, or may make no further offer now. */
  private heldBack(entry: Entry<R>, channel: Channel): Obstacle | undefined {
    const { release, rollout } = entry;
    if (!rollout?.channels.has(channel.name)) return undefined;
    const finding = this.beyond(entry, rollout) ?? this.pausedFor(rollout, release);
    return finding && { reason: 'waiting', finding };
  }

  private beyond(entry: Entry<R>, rollout: Rollout): (() => string) | undefined {
    const { asking, catalogue } = this;
    const { stage } = this.stateOf(rollout);
    if (stage < 0) return () => `its rollout starts at ${timeText(rollout.startsMs)}`;
    const { from, stages } = rollout;
    if (from && !(this.relation(entry)?.isFrom ?? false))
      return () => `its rollout is for units that run ${from.text}, and the unit ${this.runs()}`;
    const current = stages[stage];
    if (!current) return undefined;
    const { unit } = asking;
    const place = `stage ${stage + 1} of ${stages.length}, at ${current.percent} %`;
    if (unit === undefined)
      return () => `its rollout is in ${place}, and a client without a unit id belongs to the last stage`;
    if (current.percent >= 100) return undefined;
    const share = shareOf(catalogue.product, rollout.version, unit);
    return share < current.percent
      ? undefined
      : () => `its rollout is in ${place}, and the unit is at ${shareText(share)}`;
  }

  /** A unit that was offered the version before keeps the offer. */
  private pausedFor(rollout: Rollout, release: R): (() => string) | undefined {
    const { asking, nowMs, standing } = this;
    if (rollout.pausedAtMs === Infinity && !rollout.window && !rollout.rate) return undefined;
    if (standing.offeredDigest === release.manifestDigest) return undefined;
    if (isPaused(rollout, nowMs)) {
      const since = Number.isFinite(rollout.pausedAtMs) ? ` since ${timeText(rollout.pausedAtMs)}` : '';
      return () => `its rollout is paused${since}, and the unit was not offered it before`;
    }
    const { window } = rollout;
    const zone = window && attributeOf(asking, ZONE_ATTRIBUTE);
    if (window && !isOpen(window, nowMs, zone))
      return () =>
        `it is offered from ${clockText(window.fromMinute)} to ${clockText(window.toMinute)} (${zoneFor(window, nowMs, zone)})`;
    // Clients without a unit id cannot be counted: each of their requests would be a new offer.
    if (asking.unit !== undefined && !this.stateOf(rollout).mayOffer)
      return () => 'its rate allows no further offer at the moment';
    return undefined;
  }

  /**
   * Returns whether a client that says neither its unit nor what it runs may run a release already whose rollout is only
   * closed for now, by its window or by a pause after its last stage. An older release would send it back, until the next
   * window.
   */
  private mayRunIt(entry: Entry<R>, channel: Channel): boolean {
    const { asking } = this;
    const { rollout } = entry;
    if (asking.unit !== undefined || asking.running !== undefined || !rollout?.channels.has(channel.name)) return false;
    if (rollout.pausedAtMs === -Infinity || this.beyond(entry, rollout)) return false;
    // What it would not be offered in the window either, it does not run.
    return this.notFitting(entry) === undefined;
  }

  private same(entry: Entry<R>): Obstacle | undefined {
    return (this.relation(entry)?.isSame ?? isSameVersion(this.asking.running, entry.release.version))
      ? { reason: 'up-to-date', finding: () => 'the unit runs it' }
      : undefined;
  }

  /** A unit that runs a higher version is not offered a lower one, unless that may not be offered or the plan says so. */
  private lower(entry: Entry<R>): Obstacle | undefined {
    const { running } = this;
    if (!running || !relationOf(entry, this.plan, running).isLower) return undefined;
    const { version } = entry.release;
    return { reason: 'newer', finding: () => `the unit runs ${running.text}, which is higher than ${version}` };
  }

  private notFitting(entry: Entry<R>): Obstacle | undefined {
    const { asking, standing } = this;
    const { release } = entry;
    const { failedDigest, failedVersion, failedBefore } = standing;
    const hasFailed =
      failedDigest === undefined ? failedVersion === release.version : failedDigest === release.manifestDigest;
    if (hasFailed || failedBefore?.some((one) => isRelease(one, release)))
      return {
        reason: 'failed',
        finding: () =>
          'the unit has failed to install it, or has rejected it, and otaflux units retry was not run since',
      };
    const { fitsHardware, fitsVersion } = release.conditions ?? {};
    const { hardware } = asking;
    if (fitsHardware && hardware !== undefined && !fitsHardware(hardware))
      return { reason: 'hardware', finding: () => `it is for other hardware than ${JSON.stringify(hardware)}` };
    if (fitsVersion && !(this.relation(entry)?.fits ?? false))
      return { reason: 'requires', finding: () => `it requires another version, and the unit ${this.runs()}` };
    return undefined;
  }

  /** Undefined if the unit does not say what it runs, or no semantic version. */
  private relation(entry: Entry<R>): Relation | undefined {
    return this.running && relationOf(entry, this.plan, this.running);
  }

  private stateOf(rollout: Rollout): RolloutStanding {
    if (this.examined === rollout && this.examinedState) return this.examinedState;
    this.examined = rollout;
    return (this.examinedState = this.standing.rollouts.of(this.catalogue.product, rollout, this.nowMs));
  }

  private assignment(rule: UnitRule | undefined, ofRule: Channel | undefined, named: Channel | undefined): string {
    const { asking, plan } = this;
    if (rule?.version !== undefined) return `the rule ${rule.text} pins it to ${rule.version}`;
    if (rule && ofRule) return `the rule ${rule.text} assigns it to the channel ${ofRule.name}`;
    if (named) return `no rule matches it, and it asks for the channel ${named.name}`;
    const unknown =
      asking.channel === undefined
        ? ''
        : ` It asks for the channel ${JSON.stringify(asking.channel)}, which the plan does not have.`;
    return `no rule matches it, so it is in the default channel ${plan.defaultChannel.name}.${unknown}`.replace(
      /\.$/,
      '',
    );
  }

  private runs(): string {
    const { running } = this.asking;
    return running === undefined ? 'does not say what it runs' : `runs ${running}`;
  }

  private say(version: string, finding: string): void {
    this.tell?.({ subject: `release ${version}`, finding });
  }
}

function isRelease({ digest, version }: FailedRelease, release: Servable): boolean {
  return digest === undefined ? version === release.version : digest === release.manifestDigest;
}

/** What a unit may not have, if it is offered nothing else. */
interface Passed<R> {
  readonly reason: Reason;
  readonly about: R;
}

const timeText = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
/** Rounded down, so that a unit at 9.999 is not said to be at 10 %. */
const shareText = (share: number): string => `${(Math.floor(share * 100) / 100).toFixed(2)} %`;
