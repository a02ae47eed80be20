<<<<<<< HEAD
import type { Settings } from '../config/index.js';
import { ConfigError, OtaError, reasonOf } from '../errors.js';
import { newestFirst, versionOf } from '../firmware/select-version.js';
import { createArtifactWriter } from '../registry/adapters.js';
import { TagsStay } from '../registry/artifact-writer.js';
import { Examiner, repositoryOf } from './examination.js';
import { confirm, isInteractive } from './prompt.js';
import { versionsOf } from './versions.js';

const EXIT_FAILURE = 1;
const EXIT_NOT_ASKED = 3;
/** Enough to say what else there is. */
const MAX_NAMED = 5;

export interface DeleteOptions {
  readonly yes: boolean;
  readonly json: boolean;
}

/** Deletes the tags of `version`, after a question unless `yes`; resolves to the exit code. */
export async function deleteVersion(
  settings: Settings,
  device: string,
  version: string,
  options: DeleteOptions,
): Promise<number> {
  const repository = repositoryOf(device, settings);
  const wanted = versionOf(version.replace('+', '_'));
  if (wanted === undefined)
    throw new ConfigError(`version: got ${JSON.stringify(version)}, expected a semantic version such as 1.2.3`);
  if (!options.yes && (options.json || !isInteractive()))
    throw new ConfigError('delete asks for confirmation on a terminal. Use --yes to delete without a question');
  const examiner = await Examiner.create(settings);
  try {
    return await remove(examiner, settings, { device, repository, version: wanted }, options);
  } catch (error) {
    if (!(error instanceof OtaError)) throw error;
    process.stderr.write(`otaflux: ${error instanceof TagsStay ? adviceFor(error, settings) : reasonOf(error)}\n`);
    return error.code === 'unavailable' ? EXIT_NOT_ASKED : EXIT_FAILURE;
  } finally {
    await examiner.registry.close();
  }
}

interface Wanted {
  readonly device: string;
  readonly repository: string;
  readonly version: string;
}

async function remove(
  examiner: Examiner,
  settings: Settings,
  { device, repository, version }: Wanted,
  { yes, json }: DeleteOptions,
): Promise<number> {
  const { signal } = new AbortController();
  const candidates = newestFirst(await examiner.registry.listTags(repository, signal), { prereleases: true });
  // `1.0.0` and `v1.0.0` are the same version: with one of them left, devices would still get it.
  const tags = candidates.filter((candidate) => candidate.version === version).map(({ tag }) => tag);
  if (tags.length === 0) throw new OtaError('absent', `${device} has no version ${version}. ${others(candidates)}`);
  const next = await currentWithout(tags, examiner, repository, settings, signal);
  const outcome = next === undefined ? 'get no version' : `get ${next}`;
  if (!yes) {
    const names = tags.map((tag) => `${repository}:${tag}`).join(' and ');
    process.stderr.write(`This deletes ${names}. Devices that ask for "${device}" then ${outcome}.\n`);
    if (!(await confirm(`Delete version ${version}?`))) {
      process.stderr.write('Nothing was deleted.\n');
      return EXIT_FAILURE;
    }
  }
  const writer = await createArtifactWriter(settings);
  for (const tag of tags) await writer.deleteTag(repository, tag, signal);
  if (json) process.stdout.write(`${JSON.stringify({ repository, version, tags, current: next ?? null })}\n`);
  else {
    for (const tag of tags) process.stdout.write(`Deleted ${repository}:${tag}\n`);
    process.stdout.write(`Devices that ask for "${device}" ${outcome}, after the next refresh of the server.\n`);
  }
  return 0;
}

/** The version that devices get without `tags`. */
async function currentWithout(
  tags: readonly string[],
  examiner: Examiner,
  repository: string,
  settings: Settings,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const { current } = await versionsOf(examiner, repository, settings, { limit: 1, without: tags }, signal);
    return current?.version;
  } catch (error) {
    if (error instanceof OtaError && error.code === 'absent') return undefined;
    throw error;
  }
}

function others(candidates: readonly { version: string }[]): string {
  const versions = [...new Set(candidates.map(({ version }) => version))];
  if (versions.length === 0) return 'It has no version at all';
  const more = versions.length > MAX_NAMED ? ` and ${versions.length - MAX_NAMED} more` : '';
  return `It has ${versions.slice(0, MAX_NAMED).join(', ')}${more}`;
}

/** The distribution specification lets a registry refuse to delete tags, and many do (docs/cli.md has what to do for each). */
function adviceFor({ message }: TagsStay, { registryUrl }: Settings): string {
  const host = registryUrl.kind === 'http' ? registryUrl.host : '';
  return `${message}. ${remedyFor(host)} All registries: docs/cli.md#delete`;
}

function remedyFor(host: string): string {
  if (/(^|\.)ghcr\.io$/.test(host)) return 'Delete it on the package page of GitHub.';
  if (/(^|\.)docker\.io$/.test(host)) return 'Delete it on the Tags page of Docker Hub.';
  if (/\.amazonaws\.com$|(^|\.)ecr\.aws$/.test(host)) return 'Use aws ecr batch-delete-image --image-ids imageTag=TAG.';
  if (host.endsWith('.azurecr.io')) return 'Use az acr repository untag.';
  return 'CNCF Distribution 2, Harbor, GHCR, Docker Hub, ECR and ACR refuse it: delete the tag on their web page or with their own tool.';
}
=======
import { createInterface } from 'node:readline/promises';
import type { Settings } from '../config/index.js';
import { ConfigError, OtaError, reasonOf } from '../errors.js';
import { newestFirst, versionOf } from '../firmware/select-version.js';
import { createArtifactWriter, createRegistry } from '../registry/adapters.js';
import type { Registry } from '../registry/index.js';
import { Judge, repositoryOf } from './judge.js';

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
    throw new ConfigError('--yes is required where no terminal is there to ask on');
  const registry = await createRegistry(settings);
  const tags = await tagsOf(registry, repository, version);
  const what = `${repository} ${version} (${tags.length === 1 ? 'tag' : 'tags'} ${tags.join(', ')})`;
  if (!isConfirmed && !(await confirm(`Delete ${what}? [y/N] `))) {
    process.stdout.write('Nothing was deleted.\n');
    return EXIT_KEPT;
  }
  await deleteTags(settings, repository, tags);
  process.stdout.write(`Deleted ${what}.\n${await nextOf(registry, repository, settings)}\n`);
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
  throw new OtaError('absent', `${repository} has no version ${version}${newest}. otaflux list shows its versions`);
}

async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-D and Ctrl-C are a no.
  const closed = new Promise<string>((resolve) =>
    terminal.once('close', () => {
      resolve('');
    }),
  );
  const answer = await Promise.race([terminal.question(question), closed]);
  terminal.close();
  return /^y(?:es)?$/i.test(answer.trim());
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
async function nextOf(registry: Registry, repository: string, settings: Settings): Promise<string> {
  try {
    const judge = await Judge.create(registry, repository, settings);
    const current = await judge.current(await judge.all());
    return current ? `Devices get ${current.version} next.` : 'Devices get none of the versions that are left.';
  } catch (error) {
    if (error instanceof OtaError && error.code === 'absent') return 'No version is left for devices.';
    return `Which version devices get next could not be found out: ${reasonOf(error)}.`;
  }
}
>>>>>>> main
