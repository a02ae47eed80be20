import { isMap, isSeq, parseDocument, type Document, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import { OtaError } from '../../errors.js';
import { similarTo } from './similar-name.js';

/** What a new plan contains: everybody is offered the highest version, as without a plan. */
export const firstPlan = (
  product: string,
): string => `# Which units of ${product} are offered which versions. See docs/rollouts.md of OtaFlux.
serial: 0
product: ${product}
channels:
  stable: { versions: "*" }
default: stable
`;

/** What `channel set` changes. */
export interface ChannelChange {
  readonly versions?: string | undefined;
  readonly version?: string | undefined;
  readonly prereleases?: boolean | undefined;
}

/** The values of a new rollout, as they are written in the plan. */
export interface RolloutEntry {
  readonly version: string;
  readonly channels: readonly string[];
  readonly [key: string]: unknown;
}

/**
 * A plan as a document of YAML, whose comments and order are kept by every change. It changes what is written, and leaves
 * it to the parser of plans to say whether the result is right. Throws OtaError if there is nothing to change.
 */
export class PlanDocument {
  private readonly document: Document;

  constructor(text: string) {
    this.document = parseDocument(text, { version: '1.2' });
  }

  get serial(): number {
    return Number(this.document.get('serial') ?? 0);
  }

  setSerial(serial: number): void {
    this.document.set('serial', serial);
  }

  /** The channel of units that no rule names. */
  get defaultChannel(): string {
    const [only = 'default', ...others] = this.channels;
    return textOf(this.document.get('default')) || (others.length === 0 ? only : '');
  }

  set defaultChannel(name: string) {
    this.document.set('default', name);
  }

  get channels(): string[] {
    return this.map('channels').items.map(({ key }) => textOf(key));
  }

  /** Throws if there is no channel of this name. */
  demandChannel(name: string): void {
    if (this.channels.includes(name)) return;
    throw new OtaError(
      'absent',
      `the plan has no channel ${name}${similarTo(name, this.channels)}. Its channels are ${this.channels.join(', ')}. Run otaflux channel set to add one`,
    );
  }

  /** Creates a channel, or changes it. A range takes the place of a version, and a version that of a range. */
  setChannel(name: string, { versions, version, prereleases }: ChannelChange): void {
    const channels = this.map('channels');
    let channel = channels.get(name);
    if (!isMap(channel)) channels.set(name, (channel = this.flow({})));
    const map = channel as YAMLMap;
    if (version !== undefined) this.replaceKey(map, ['versions', 'prereleases'], 'version', version);
    if (versions !== undefined) this.replaceKey(map, ['version'], 'versions', versions);
    if (prereleases !== undefined) map.set('prereleases', prereleases);
  }

  removeChannel(name: string): void {
    this.demandChannel(name);
    this.map('channels').delete(name);
  }

  /** Puts a rule for `match` before all others, in place of the rules for the same `match`. */
  assign(match: string, to: { readonly version?: string | undefined; readonly channel?: string | undefined }): void {
    const units = this.seq('units');
    units.items = units.items.filter((item) => !isRuleFor(item, match));
    units.items.unshift(this.flow({ match, ...to }));
  }

  /** Removes the rules for `match`. */
  unassign(match: string): void {
    const units = this.seq('units');
    const rest = units.items.filter((item) => !isRuleFor(item, match));
    if (rest.length === units.items.length) {
      const rules = units.items.flatMap((item) =>
        isMap(item) && item.has('match') ? [textOf(item.get('match'))] : [],
      );
      throw new OtaError(
        'absent',
        `the plan has no rule for ${match}${similarTo(match, rules)}. Run otaflux plan show to see its rules`,
      );
    }
    units.items = rest;
    this.dropIfEmpty('units');
  }

  get yanked(): string[] {
    const yanked = this.document.get('yanked');
    return isSeq(yanked) ? yanked.items.map(textOf) : [];
  }

  yank(version: string): void {
    if (this.yanked.includes(version)) return;
    const yanked = this.seq('yanked', true);
    yanked.items.push(this.document.createNode(version));
  }

  unyank(version: string): void {
    if (!this.yanked.includes(version))
      throw new OtaError('absent', `${version} is not yanked${similarTo(version, this.yanked)}`);
    const yanked = this.seq('yanked');
    yanked.items = yanked.items.filter((item) => textOf(item) !== version);
    this.dropIfEmpty('yanked');
  }

  /** The versions that have a rollout. */
  get rollouts(): string[] {
    return this.rolloutMaps().map((map) => textOf(map.get('version')));
  }

  addRollout(entry: RolloutEntry): void {
    const { stages, halt, window, ...rest } = entry;
    const map = this.document.createNode(rest) as YAMLMap;
    const channels = map.get('channels');
    if (isSeq(channels)) channels.flow = true;
    if (Array.isArray(stages)) {
      const list = new YAMLSeq();
      list.items = stages.map((stage) => this.flow(stage as object));
      map.set('stages', list);
    }
    for (const [key, value] of Object.entries({ halt, window }))
      if (value !== undefined) map.set(key, this.flow(value as object));
    this.seq('rollouts').items.push(map);
  }

  /** Returns the rollout of `version`, or the only one. */
  rollout(version: string | undefined): YAMLMap {
    const { rollouts } = this;
    const maps = this.rolloutMaps();
    if (version === undefined) {
      const [only] = maps;
      if (only && maps.length === 1) return only;
      throw new OtaError(
        'absent',
        rollouts.length === 0
          ? 'the plan has no rollout. Run otaflux rollout start'
          : `name the version: the plan has rollouts of ${rollouts.join(', ')}`,
      );
    }
    const found = maps.find((map) => textOf(map.get('version')) === version);
    if (found) return found;
    const others = rollouts.length === 0 ? 'it has none' : `it has those of ${rollouts.join(', ')}`;
    throw new OtaError('absent', `the plan has no rollout of ${version}: ${others}`);
  }

  removeRollout(version: string): void {
    const rollouts = this.seq('rollouts');
    rollouts.items = rollouts.items.filter((item) => !isMap(item) || textOf(item.get('version')) !== version);
    this.dropIfEmpty('rollouts');
  }

  toJSON(): unknown {
    return this.document.toJSON();
  }

  toString(): string {
    return this.document.toString({ lineWidth: 120, flowCollectionPadding: true });
  }

  private rolloutMaps(): YAMLMap[] {
    const rollouts = this.document.get('rollouts');
    return isSeq(rollouts) ? rollouts.items.filter((item): item is YAMLMap => isMap(item)) : [];
  }

  private map(key: string): YAMLMap {
    const found = this.document.get(key);
    if (isMap(found)) return found;
    const map = new YAMLMap();
    this.document.set(key, map);
    return map;
  }

  private seq(key: string, flow = false): YAMLSeq {
    const found = this.document.get(key);
    if (isSeq(found)) return found;
    const list = new YAMLSeq();
    list.flow = flow;
    this.document.set(key, list);
    return list;
  }

  private dropIfEmpty(key: string): void {
    const found = this.document.get(key);
    if (isSeq(found) && found.items.length === 0) this.document.delete(key);
  }

  private flow(value: object): YAMLMap {
    const node = this.document.createNode(value) as YAMLMap;
    node.flow = true;
    return node;
  }

  /** Writes `key` where one of `old` was, so that the order stays. */
  private replaceKey(map: YAMLMap, old: readonly string[], key: string, value: string): void {
    const first = map.items.find(({ key: written }) => [key, ...old].includes(textOf(written)));
    if (first) {
      first.key = this.document.createNode(key);
      first.value = this.document.createNode(value);
    } else map.set(key, value);
    map.items = map.items.filter((pair) => pair === first || ![...old, key].includes(textOf(pair.key)) || !first);
  }
}

function isRuleFor(item: unknown, match: string): boolean {
  return isMap(item) && item.has('match') && textOf(item.get('match')) === match;
}

function textOf(node: unknown): string {
  const value: unknown = node instanceof Scalar ? node.value : node;
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
