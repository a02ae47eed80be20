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

/** Created with the first answer from a catalogue, so that catalogues that nobody asks for cost nothing. */
const known = new WeakMap<Catalogue, Map<Channel | string, readonly Entry[]>>();

/** Returns the releases of a channel, newest first. */
export function entriesOf<R extends Servable>(
  catalogue: Catalogue<R>,
  plan: Plan,
  channel: Channel,
): readonly Entry<R>[] {
  return remembered(catalogue, channel, () =>
    catalogue.releases.filter(({ version }) => channel.includes(version)).map((release) => entryOf(plan, release)),
  );
}

/** Returns the release with this version, in a list of at most one. */
export function entriesWith<R extends Servable>(
  catalogue: Catalogue<R>,
  plan: Plan,
  version: string,
): readonly Entry<R>[] {
  return remembered(catalogue, version, () =>
    catalogue.releases.filter((release) => release.version === version).map((release) => entryOf(plan, release)),
  );
}

function remembered<R extends Servable>(
  catalogue: Catalogue<R>,
  key: Channel | string,
  create: () => Entry<R>[],
): readonly Entry<R>[] {
  let byKey = known.get(catalogue);
  if (!byKey) known.set(catalogue, (byKey = new Map<Channel | string, readonly Entry[]>()));
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
