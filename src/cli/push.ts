import { basename } from 'node:path';
import { type Settings } from '../config/index.js';
import { ConfigError, OtaError } from '../errors.js';
import { repositoryPrefix } from '../firmware/repository-prefix.js';
import { newestFirst, versionOf } from '../firmware/select-version.js';
import { isRepositoryName, isTag, type Descriptor } from '../oci/index.js';
import { createArtifactWriter, createRegistry } from '../registry/adapters.js';
import type { ArtifactWriter, Registry } from '../registry/index.js';
import { buildArtifact, describeFile, type Artifact } from './artifact.js';
import { ProgressBar } from './progress.js';

/** The flags of `otaflux push`. */
export interface PushOptions {
  artifactType?: string;
  annotation: Record<string, string>;
  mediaType?: string;
  force?: boolean;
  json?: boolean;
}

/** What was pushed, as `--json` prints it. */
export interface Pushed {
  readonly repository: string;
  readonly tag: string;
  readonly version: string;
  readonly digest: string;
  readonly size: number;
  /** False when the same bytes stood under this version already. */
  readonly changed: boolean;
}

/** Pushes `file`, or finds that it stands there already. Rejects with ConfigError or OtaError. */
export async function push(
  settings: Settings,
  device: string,
  version: string,
  file: string,
  options: PushOptions,
): Promise<Pushed> {
  const tag = tagFor(version);
  const repository = repositoryPrefix(settings.repositoryPrefix) + device;
  if (!isRepositoryName(repository))
    throw new ConfigError(
      `device: got ${JSON.stringify(device)}, expected a repository name such as esp32 or line-1/sensor`,
    );
  const layer = await describeFile(file, basename(file), options.mediaType);
  demandSize(layer.descriptor.size, settings.maxFirmwareSize, options.force);
  const canonical = versionOf(tag) ?? tag;
  const artifact = buildArtifact(layer, { ...options, version: canonical });
  const result = { repository, tag, version: canonical, size: layer.descriptor.size };
  const signal = new AbortController().signal;
  const writer = await createArtifactWriter(settings);
  const registry = await createRegistry(settings);
  const existing = await existingLayer(registry, repository, canonical, signal);
  if (existing?.tag === tag && existing.layer?.digest === layer.descriptor.digest)
    return { ...result, digest: existing.digest, changed: false };
  if (existing && existing.layer?.digest !== layer.descriptor.digest && !options.force) {
    throw new OtaError(
      'protocol',
      `${repository}:${existing.tag} exists with other bytes (${existing.layer?.digest ?? existing.digest}); choose another version, or --force to replace it`,
    );
  }
  await write(writer, repository, tag, artifact, signal);
  return { ...result, digest: artifact.manifest.descriptor.digest, changed: true };
}

/** A server with this limit would pass the version over, and serve an older one. */
function demandSize(bytes: number, maxBytes: number, force = false): void {
  if (bytes <= maxBytes || force) return;
  throw new ConfigError(
    `file: has ${bytes} bytes, over --max-firmware-size of ${maxBytes}: servers with this limit do not serve it. Raise the limit here and there, or use --force`,
  );
}

async function write(
  writer: ArtifactWriter,
  repository: string,
  tag: string,
  artifact: Artifact,
  signal: AbortSignal,
): Promise<void> {
  const bar = ProgressBar.start(artifact.layer.descriptor.size);
  try {
    await writer.writeBlob(repository, artifact.layer, signal, (bytes) => {
      bar?.update(bytes);
    });
  } finally {
    bar?.stop();
  }
  await writer.writeBlob(repository, artifact.config, signal);
  await writer.writeManifest(repository, tag, artifact.manifest.descriptor, artifact.manifest.bytes, signal);
}

/** The tag of `version` as it was written, `+` as `_`. */
function tagFor(version: string): string {
  const tag = version.replace('+', '_');
  if (versionOf(tag) === undefined || !isTag(tag)) {
    throw new ConfigError(
      `version: got ${JSON.stringify(version)}, expected a semantic version such as 1.2.3, v1.2.3-rc.1 or 1.2.3+build.5`,
    );
  }
  return tag;
}

interface Existing {
  readonly tag: string;
  readonly digest: string;
  readonly layer: Descriptor | undefined;
}

/** What stands under `version` already, by whichever tag; undefined when nothing does. */
async function existingLayer(
  registry: Registry,
  repository: string,
  version: string,
  signal: AbortSignal,
): Promise<Existing | undefined> {
  try {
    const tags = newestFirst(await registry.listTags(repository, signal), { prereleases: true });
    const same = tags.find((candidate) => candidate.version === version);
    if (!same) return undefined;
    const descriptor = await registry.resolve(repository, same.tag, signal);
    const { content } = await registry.fetchManifest(repository, descriptor, signal);
    const [layer] = content.kind === 'manifest' ? content.layers : [];
    return { tag: same.tag, digest: descriptor.digest, layer: layer && 'fault' in layer ? undefined : layer };
  } catch (error) {
    // A repository that is not there yet: the push makes it.
    if (error instanceof OtaError && error.code === 'absent') return undefined;
    throw error;
  }
}
