import { parseVersion, type SemanticVersion } from '../semver.js';
import type { Catalogue, Servable } from './catalogue.js';
import type { Channel, Plan, Rollout } from './plan.js';

/** A release of a channel, with all that does not depend on the unit. */
export interface Entry<R extends Servable = Servable> {
  readonly release: R;
  readonly version: SemanticVersion | undefined;
  readonly isYanked: boolean;
  /** The rollout of the version, in this channel or in another one. */
  readonly rollout: Rollout | undefined;
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
  };
}
