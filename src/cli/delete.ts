import type { Settings } from '../config/index.js';
import { ConfigError, OtaError, reasonOf } from '../errors.js';
import { newestFirst, versionOf } from '../firmware/select-version.js';
import { createArtifactWriter, createRegistry } from '../registry/adapters.js';
import type { Registry } from '../registry/index.js';
import { byPlan } from './by-plan.js';
import { VersionChecker, repositoryOf } from './version-checker.js';
import { showRetries, StatusLine } from './progress.js';
import { confirm } from './prompt.js';

const EXIT_DELETED = 0;
const EXIT_KEPT = 1;

/** Deletes all tags of `given`, and resolves to the exit code. Rejects with ConfigError or OtaError. */
export async function deleteVersion(
  settings: Settings,
  device: string,
  given: string,
  isConfirmed: boolean,
): Promise<number> {
  const repository = repositoryOf(settings, device);
  const version = versionOf(given.replace('+', '_'));
  if (version === undefined)
    throw new ConfigError(`version: got ${JSON.stringify(given)}, expected a semantic version such as 1.2.3`);
  if (!isConfirmed && !process.stdin.isTTY)
    throw new ConfigError(
      '--yes is missing, and without a terminal delete cannot ask. Add --yes to delete without a question',
    );
  const line = StatusLine.on(process.stderr);
  const registry = await createRegistry(settings, showRetries(line));
  const tags = await tagsOf(registry, repository, version).finally(() => line?.clear());
  const what = `${repository} ${version} (${tags.length === 1 ? 'tag' : 'tags'} ${tags.join(', ')})`;
  if (!isConfirmed && !(await confirm(`Delete ${what}?`))) {
    process.stdout.write('Nothing was deleted.\n');
    return EXIT_KEPT;
  }
  await deleteTags(settings, repository, tags);
  const next = await nextOf(registry, repository, settings, device).finally(() => line?.clear());
  process.stdout.write(`Deleted ${what}.\n${next}\n`);
  return EXIT_DELETED;
}

/** All tags that stand for `version`; OtaError `absent` when there is none. */
async function tagsOf(registry: Registry, repository: string, version: string): Promise<string[]> {
  const candidates = newestFirst(await registry.listTags(repository, new AbortController().signal), {
    prereleases: true,
  });
  const tags = candidates.filter((candidate) => candidate.version === version).map(({ tag }) => tag);
  if (tags.length > 0) return tags;
  const newest = candidates[0] ? `; the newest version is ${candidates[0].version}` : '';
  throw new OtaError(
    'absent',
    `${repository} has no version ${version}${newest}. Run otaflux list to see its versions`,
  );
}

async function deleteTags(settings: Settings, repository: string, tags: readonly string[]): Promise<void> {
  const writer = await createArtifactWriter(settings);
  const deleted: string[] = [];
  for (const tag of tags) {
    try {
      await writer.deleteTag(repository, tag, new AbortController().signal);
    } catch (error) {
      if (!(error instanceof OtaError) || deleted.length === 0) throw error;
      throw new OtaError(error.code, `${error.message} (already deleted: ${deleted.join(', ')})`, { cause: error });
    }
    deleted.push(tag);
  }
}

/** What devices get now, by the rules of the server; the version is deleted whether this is found out or not. */
async function nextOf(registry: Registry, repository: string, settings: Settings, device: string): Promise<string> {
  try {
    const checker = await VersionChecker.create(registry, repository, settings, device);
    const current = await checker.current(await checker.all());
    const plan = await checker.plan();
    if (plan) return byPlan(plan, current, device);
    return current ? `Devices get ${current.version} next.` : 'Devices get none of the versions that are left.';
  } catch (error) {
    if (error instanceof OtaError && error.code === 'absent') return 'No version is left for devices.';
    return `Which version devices get next is not known: ${reasonOf(error)}.`;
  }
}
