import { compareBuild, gte, parse } from 'semver';

/** A tag that names a version. */
export interface Candidate {
  readonly tag: string;
  /** Semantic version 2.0.0 without `v`, with its build metadata: `1.2.0+build.5`. */
  readonly version: string;
}

export interface SelectionOptions {
  /** Whether 2.0.0-rc.1 counts. */
  readonly prereleases: boolean;
  /** Older versions do not count. */
  readonly minVersion?: string | undefined;
}

/**
 * The version that `tag` stands for, or undefined: a semantic version 2.0.0 with or without `v`;
 * `_` stands for `+`, which a tag cannot hold (as in Helm's OCI registries).
 */
export function versionOf(tag: string): string | undefined {
  const parsed = /^v?\d/.test(tag) ? parse(tag.replace('_', '+')) : null;
  if (!parsed) return undefined;
  return parsed.build.length > 0 ? `${parsed.version}+${parsed.build.join('.')}` : parsed.version;
}

/** Below 0 when `a` is older than `b`: by semver precedence, then by build metadata. */
export function compareVersions(a: string, b: string): number {
  return compareBuild(a, b);
}

/**
 * The tags that are versions, newest first: by semver precedence, then by build metadata, whose numeric parts
 * count as numbers; of two tags for one version the one without `v` comes first, so that the order is total.
 */
export function newestFirst(tags: readonly string[], { prereleases, minVersion }: SelectionOptions): Candidate[] {
  const candidates: Candidate[] = [];
  for (const tag of tags) {
    const version = versionOf(tag);
    if (version === undefined || (!prereleases && parse(version)?.prerelease.length)) continue;
    if (minVersion === undefined || gte(version, minVersion)) candidates.push({ tag, version });
  }
  return candidates.sort((a, b) => compareVersions(b.version, a.version) || (a.tag < b.tag ? -1 : 1));
}
