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

/** The releases that were looked up in a catalogue, by the channel or the version that was asked for. */
interface LookedUp {
  readonly catalogue: Catalogue;
  readonly entries: Map<Channel | string, readonly Entry[]>;
}

/**
 * Where a built plan keeps what was looked up in the catalogue that was asked last. It goes with the built plan, so
 * catalogues that nobody asks for cost nothing. WeakMaps would make the collection of garbage slow: there is one plan for each
 * product.
 */
const LOOKED_UP = Symbol('looked up');
type LookingPlan = Plan & { [LOOKED_UP]?: LookedUp };

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
  const looking: LookingPlan = plan;
  let lookedUp = looking[LOOKED_UP];
  if (lookedUp?.catalogue !== catalogue)
    looking[LOOKED_UP] = lookedUp = { catalogue, entries: new Map<Channel | string, readonly Entry[]>() };
  const { entries } = lookedUp;
  const found = entries.get(key) as readonly Entry<R>[] | undefined;
  if (found) return found;
  const created = create();
  entries.set(key, created);
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
