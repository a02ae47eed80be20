import { compareWithBuild, parseVersion, type SemanticVersion } from '../semver.js';
import type { Catalogue, Servable } from './catalogue.js';
import type { Channel, Plan, Rollout } from './plan.js';

/** A release of a channel, with all that does not depend on the unit. */
export interface Entry<R extends Servable = Servable> {
  readonly release: R;
  readonly version: SemanticVersion | undefined;
  readonly isYanked: boolean;
  /** The rollout of the version, in this channel or in another one. */
  readonly rollout: Rollout | undefined;
  /** What units that run a version are told, which is the same for all of them. */
  readonly relations: Map<SemanticVersion, Relation>;
}

/** How a release stands to a version that a unit runs. */
export interface Relation {
  /** The unit runs this version. */
  readonly isSame: boolean;
  /** The unit must not go back to the release. */
  readonly isLower: boolean;
  /** The rollout of the release is for units that run the version. */
  readonly isFrom: boolean;
  /** The release does not require another version. */
  readonly fits: boolean;
}

/** A fleet runs a few versions. */
const MAX_RELATIONS = 50;

/** Returns how a release stands to a version that a unit runs. */
export function relationOf(entry: Entry, plan: Plan, running: SemanticVersion): Relation {
  const known = entry.relations.get(running);
  if (known) return known;
  const { release, version, rollout } = entry;
  const { text } = running;
  const relation = {
    isSame: text === release.version,
    isLower:
      version !== undefined &&
      rollout?.downgrade !== true &&
      compareWithBuild(version, running) < 0 &&
      !plan.yanked.has(text),
    isFrom: rollout?.from?.includes(text) ?? true,
    fits: release.conditions?.fitsVersion?.(text) ?? true,
  };
  if (entry.relations.size >= MAX_RELATIONS) entry.relations.clear();
  entry.relations.set(running, relation);
  return relation;
}

type Entries = Map<Channel | string, readonly Entry[]>;

/**
 * Created with the first answer from a catalogue, so that catalogues that nobody asks for cost nothing. They go with the
 * built plan.
 */
const known = new WeakMap<Plan, WeakMap<Catalogue, Entries>>();

/** Returns the releases of a channel, newest first. */
export function entriesOf<R extends Servable>(
  catalogue: Catalogue<R>,
  plan: Plan,
  channel: Channel,
): readonly Entry<R>[] {
  return remembered(catalogue, plan, channel, () =>
    catalogue.releases.filter(({ version }) => channel.includes(version)).map((release) => entryOf(plan, release)),
  );
}

/** Returns the release with this version, in a list of at most one. */
export function entriesWith<R extends Servable>(
  catalogue: Catalogue<R>,
  plan: Plan,
  version: string,
): readonly Entry<R>[] {
  return remembered(catalogue, plan, version, () =>
    catalogue.releases.filter((release) => release.version === version).map((release) => entryOf(plan, release)),
  );
}

function remembered<R extends Servable>(
  catalogue: Catalogue<R>,
  plan: Plan,
  key: Channel | string,
  create: () => Entry<R>[],
): readonly Entry<R>[] {
  let ofPlan = known.get(plan);
  if (!ofPlan) known.set(plan, (ofPlan = new WeakMap<Catalogue, Entries>()));
  let byKey = ofPlan.get(catalogue);
  if (!byKey) ofPlan.set(catalogue, (byKey = new Map<Channel | string, readonly Entry[]>()));
  const found = byKey.get(key) as readonly Entry<R>[] | undefined;
  if (found) return found;
  const created = create();
  byKey.set(key, created);
  return created;
}

function entryOf<R extends Servable>(plan: Plan, release: R): Entry<R> {
  const { version } = release;
  return {
    release,
    version: parseVersion(version),
    isYanked: plan.yanked.has(version),
    rollout: plan.rolloutOf.get(version),
    relations: new Map<SemanticVersion, Relation>(),
  };
}
