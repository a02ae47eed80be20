import type { Settings } from '../config/index.js';
import { OtaError } from '../errors.js';
import { newestFirst, type Candidate } from '../firmware/select-version.js';
import { isGood, rowOf, type Examined, type Examiner } from './examination.js';

/** One version of a device, and what it means for devices. */
export interface ListedVersion extends Examined {
  /** `current`: devices get it. `skipped`: newer than the current one, or excluded, and not served. `older`: the rest. */
  readonly status: 'current' | 'skipped' | 'older';
}

export interface Versions {
  /** The newest first. */
  readonly listed: readonly ListedVersion[];
  /** What devices get; undefined for nothing. */
  readonly current: ListedVersion | undefined;
  /** How many versions the repository has. */
  readonly total: number;
}

/** Older versions are examined in such portions until one is found that is served. */
const PORTION = 8;

/**
 * The newest `limit` versions of `repository`, and more if none of them is served. Rejects with OtaError `absent` if there
 * is no version at all.
 *
 * @param without tags that are treated as if they were deleted
 */
export async function versionsOf(
  examiner: Examiner,
  repository: string,
  settings: Settings,
  { limit, without = [] }: { limit: number; without?: readonly string[] },
  signal: AbortSignal,
): Promise<Versions> {
  const tags = (await examiner.registry.listTags(repository, signal)).filter((tag) => !without.includes(tag));
  const all = newestFirst(tags, { prereleases: true });
  if (all.length === 0) throw new OtaError('absent', `${repository} has no tag that is a semantic version`);
  const eligible = new Set(newestFirst(tags, settings).map(({ tag }) => tag));
  const search = new Search(settings.maxUnverified);
  const listed: ListedVersion[] = [];
  for (let size = limit; listed.length < all.length && (listed.length < limit || search.goesOn); size = PORTION) {
    const portion = all.slice(listed.length, listed.length + size);
    const rows = await examiner.examineAll(repository, portion, signal, unreadable);
    for (const row of rows)
      listed.push(
        eligible.has(row.tag) ? search.see(row) : { ...row, status: 'skipped', reason: whyExcluded(row, settings) },
      );
  }
  const current = listed.find(({ status }) => status === 'current');
  // What was examined beyond the limit is of interest only as far as the current version.
  const end = Math.max(limit, current ? listed.indexOf(current) + 1 : 0);
  return { listed: listed.slice(0, end), current, total: all.length };
}

/** Looks for the current version as a refresh of the server does. */
class Search {
  private skipped = 0;
  goesOn = true;

  constructor(private readonly maxUnverified: number) {}

  see(row: Examined): ListedVersion {
    if (!this.goesOn) return { ...row, status: isGood(row) ? 'older' : 'skipped' };
    if (isGood(row)) {
      this.goesOn = false;
      return { ...row, status: 'current' };
    }
    // A server that cannot read a version keeps what it serves: it does not fall back to an older one.
    if (row.result === 'unreadable') this.goesOn = false;
    else if (row.result !== 'no-firmware' && ++this.skipped === this.maxUnverified) this.goesOn = false;
    return { ...row, status: 'skipped' };
  }
}

function unreadable(candidate: Candidate, error: OtaError): Examined {
  if (error.code !== 'protocol' && error.code !== 'absent') throw error;
  return rowOf(candidate, { result: 'unreadable', reason: error.message });
}

function whyExcluded({ version }: Examined, { minVersion, prereleases }: Settings): string {
  return !prereleases && version.replace(/\+.*$/, '').includes('-')
    ? 'pre-release, and --no-prereleases is set'
    : `older than --min-version ${minVersion ?? ''}`;
}
