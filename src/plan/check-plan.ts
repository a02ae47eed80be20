import { mostSimilar } from '../config/index.js';
import * as kinds from './kinds.js';
import type { Finding } from './finding.js';
import type { PlanContent } from './schema.js';

type RolloutContent = NonNullable<PlanContent['rollouts']>[number];
type Path = readonly PropertyKey[];

/** The name of the only channel of a plan that names none. */
export const ONLY_CHANNEL = 'default';

/** What is wrong between the values of a plan, each of which has the right form. */
export function checkPlan(
  content: PlanContent,
  product: string | undefined,
): { errors: Finding[]; warnings: Finding[] } {
  return new Checks(content).run(product);
}

class Checks {
  private readonly errors: Finding[] = [];
  private readonly warnings: Finding[] = [];
  private readonly channels: readonly string[];

  constructor(private readonly content: PlanContent) {
    this.channels = Object.keys(content.channels ?? { [ONLY_CHANNEL]: {} });
  }

  run(product: string | undefined): { errors: Finding[]; warnings: Finding[] } {
    const { content } = this;
    if (content.product !== undefined && product !== undefined && content.product !== product)
      this.error(
        ['product'],
        `the plan is for ${JSON.stringify(content.product)}, but this is the repository of ${JSON.stringify(product)}`,
      );
    this.checkChannels();
    this.checkUnits();
    this.checkRollouts();
    return { errors: this.errors, warnings: this.warnings };
  }

  private checkChannels(): void {
    const { channels = {}, default: byDefault } = this.content;
    for (const [name, { version, versions, prereleases }] of Object.entries(channels)) {
      const path = ['channels', name];
      if (kinds.name.read(name) === undefined)
        this.error(path, `got ${JSON.stringify(name.slice(0, 80))}, expected ${kinds.name.expected}`);
      this.exactlyOne(path, { versions, version });
      if (version !== undefined && prereleases !== undefined)
        this.error([...path, 'prereleases'], 'a channel of one version does not take it. Remove it');
    }
    if (byDefault !== undefined) this.checkChannel(['default'], byDefault);
    else if (this.channels.length > 1)
      this.error([], `default is missing. Expected the name of a channel: ${this.channels.slice(0, 5).join(', ')}`);
  }

  private checkUnits(): void {
    const yanked = new Set(this.content.yanked);
    for (const [index, { match, where, channel, version }] of (this.content.units ?? []).entries()) {
      const path = ['units', index];
      if (match === undefined && where === undefined)
        this.error(path, 'match and where are missing. Expected one of them');
      this.exactlyOne(path, { channel, version });
      if (channel !== undefined) this.checkChannel([...path, 'channel'], channel);
      const { running } = where ?? {};
      if (running !== undefined && kinds.rangeWithPrereleases.read(running) === undefined)
        this.error(
          [...path, 'where', 'running'],
          `got ${JSON.stringify(running)}, expected ${kinds.rangeWithPrereleases.expected}`,
        );
      if (version !== undefined && yanked.has(version))
        this.warn([...path, 'version'], `${version} is yanked: the unit is offered nothing`);
    }
  }

  private checkRollouts(): void {
    const versions = new Set<string>();
    for (const [index, rollout] of (this.content.rollouts ?? []).entries()) {
      const path = ['rollouts', index];
      if (versions.has(rollout.version))
        this.error([...path, 'version'], `${rollout.version} has two rollouts. Expected one, with all its channels`);
      versions.add(rollout.version);
      this.checkRollout(path, rollout);
    }
  }

  private checkRollout(path: Path, rollout: RolloutContent): void {
    const { channels = [], stages = [], starts, window, version } = rollout;
    for (const [at, name] of channels.entries()) this.checkChannel([...path, 'channels', at], name);
    if (stages.length > 0 && starts === undefined)
      this.error(path, `starts is missing, which rollouts with stages need. Expected ${kinds.time.expected}`);
    for (const [at, stage] of stages.entries()) {
      const before = stages[at - 1]?.percent ?? 0;
      if (stage.percent <= before)
        this.error(
          [...path, 'stages', at, 'percent'],
          `got ${stage.percent}, expected more than the ${before} of the stage before`,
        );
      if (stage.for === undefined && !stage.until)
        this.error([...path, 'stages', at], 'for is missing. Expected how long the stage lasts, such as 1d');
    }
    if (window && window.from === window.to)
      this.error([...path, 'window', 'to'], 'the window ends when it begins. Expected another time, or no window');
    if (!this.hasVersion(rollout))
      this.warn(
        [...path, 'version'],
        `${version} is in none of the channels of its rollout: the rollout has no effect`,
      );
  }

  /** Whether a version is in one of the channels of its rollout. */
  private hasVersion({ version, channels }: RolloutContent): boolean {
    if (!this.content.channels) return true;
    const { channels: known, default: byDefault = this.channels[0] ?? '' } = this.content;
    return (channels ?? [byDefault]).some((name) => {
      const channel = known[name];
      if (!channel?.versions) return channel?.version === version;
      const range = channel.prereleases ? kinds.rangeWithPrereleases.read(channel.versions.text) : channel.versions;
      return range?.includes(version) ?? false;
    });
  }

  private checkChannel(path: Path, name: string): void {
    if (this.channels.includes(name)) return;
    const near = mostSimilar(name, this.channels);
    const expected =
      near === undefined ? `. Expected one of ${this.channels.slice(0, 10).join(', ')}` : `, did you mean ${near}?`;
    this.error(path, `there is no channel ${JSON.stringify(name)}${expected}`);
  }

  private exactlyOne(path: Path, values: Readonly<Record<string, unknown>>): void {
    const names = Object.keys(values);
    const given = names.filter((name) => values[name] !== undefined);
    if (given.length === 0) this.error(path, `${names.join(' and ')} are missing. Expected one of them`);
    else if (given.length > 1) this.error(path, `${names.join(' and ')} are both given. Expected one of them`);
  }

  private error(path: Path, message: string): void {
    this.errors.push({ path, message });
  }

  private warn(path: Path, message: string): void {
    this.warnings.push({ path, message });
  }
}
