import { basename } from 'node:path';
import { type Settings } from '../config/index.js';
import { ConfigError, OtaError } from '../errors.js';
import { repositoryPrefix } from '../firmware/repository-prefix.js';
import { compareVersions, newestFirst, versionOf, type Candidate } from '../firmware/select-version.js';
import { Annotation, isRepositoryName, isTag, type Descriptor } from '../oci/index.js';
import { PLAN_TAG } from '../plan/plan.js';
import { channelsOfferedAtOnce } from './plan/offered-at-once.js';
import { PlanStore } from './plan/plan-store.js';
import { createArtifactWriter, createRegistry } from '../registry/adapters.js';
import type { ArtifactWriter, BlobSource, Registry } from '../registry/index.js';
import { whyNoDeviceId } from '../repository-name.js';
import { buildArtifact, describeFile, type Artifact } from './artifact.js';
import type { Signer } from './sign/manifest-signer.js';
import { signerOf, type SignOptions } from './sign/sign-options.js';
import { Progress, showRetries, StatusLine } from './progress.js';

const OWN_ANNOTATIONS = 'vnd.otaflux.';

/** The flags of `otaflux push`. */
export interface PushOptions extends SignOptions {
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
  /** Size of the firmware in bytes. */
  readonly size: number;
  /** Number of files, with the firmware. */
  readonly files: number;
  /** False when the same bytes were already in the registry under this version. */
  readonly changed: boolean;
}

/** The same, and what a person wants to know beside it. */
export interface PushResult {
  readonly pushed: Pushed;
  /** The newest version that devices may get, if it is newer than the pushed one. */
  readonly newer: string | undefined;
  /** Whether a plan decides which units get it. */
  readonly isPlanned: boolean;
  /** Channels of that plan whose units are offered it now, without a rollout. */
  readonly atOnce: readonly string[];
  /** Who has signed it in this push. */
  readonly signedBy: string | undefined;
}

/** Pushes `files`, the first of which is the firmware, or finds that the registry has them already. Rejects with ConfigError or OtaError. */
export async function push(
  settings: Settings,
  device: string,
  version: string,
  files: readonly string[],
  options: PushOptions,
): Promise<PushResult> {
  const tag = tagFor(version);
  const repository = repositoryPrefix(settings.repositoryPrefix) + device;
  if (!isRepositoryName(repository))
    throw new ConfigError(
      `device: got ${JSON.stringify(device)}: ${whyNoDeviceId(device)}. Expected esp32 or line-1/sensor`,
    );
  const layers = await layersOf(files, options);
  for (const { descriptor } of layers) demandSize(descriptor.size, settings.maxFirmwareSize, options.force);
  const canonical = versionOf(tag) ?? tag;
  const artifact = buildArtifact(layers, { ...options, version: canonical });
  const result = { repository, tag, version: canonical, size: layers[0].descriptor.size, files: layers.length };
  const line = StatusLine.on(process.stderr);
  const onRetry = showRetries(line);
  const signal = new AbortController().signal;
  try {
    const writer = await createArtifactWriter(settings, onRetry);
    const registry = await createRegistry(settings, onRetry);
    // A wrong key is found before anything is pushed.
    const signer = await signerOf(options, settings, registry, () => Promise.resolve(writer));
    const tags = await tagsIn(registry, repository, signal);
    const versions = newestFirst(tags, { prereleases: true });
    const isPlanned = tags.includes(PLAN_TAG);
    const offered = newestFirst(
      versions.map((one) => one.tag),
      settings,
    );
    const newer = offered.find((one) => compareVersions(one.version, canonical) > 0)?.version;
    const others = offered.map((one) => one.version);
    const store = new PlanStore(registry, () => Promise.resolve(writer), repository);
    const atOnce = isPlanned ? await channelsOfferedAtOnce(store, device, canonical, others) : [];
    const told = { isPlanned, atOnce, signedBy: signer?.name };
    const existing = await existingLayers(registry, repository, canonical, versions, signal);
    const hasFiles = existing !== undefined && holds(existing.layers, layers);
    // Those of OtaFlux decide which devices get the release. Others may differ with every build.
    const deciding = Object.entries(options.annotation).filter(([key]) => key.startsWith(OWN_ANNOTATIONS));
    const isSame = hasFiles && deciding.every(([key, value]) => existing.says(key, value));
    if (isSame && existing.tag === tag) {
      line?.clear();
      await signer?.sign(repository, existing.manifest, signal);
      return { pushed: { ...result, digest: existing.digest, changed: false }, newer, ...told };
    }
    if (existing && !isSame && !options.force) {
      const isFirmware = existing.layers[0]?.digest === layers[0].descriptor.digest;
      throw new OtaError(
        'protocol',
        `${repository}:${existing.tag} exists with other ${hasFiles ? 'annotations' : isFirmware ? 'files' : 'bytes'} (${existing.digest}). Choose another version, or use --force to replace it`,
      );
    }
    await write(writer, repository, tag, artifact, signer, line, signal);
    return { pushed: { ...result, digest: artifact.manifest.descriptor.digest, changed: true }, newer, ...told };
  } finally {
    line?.clear();
  }
}

/** Returns a layer for each file. Throws ConfigError if one cannot be pushed. */
async function layersOf(files: readonly string[], { mediaType }: PushOptions): Promise<[BlobSource, ...BlobSource[]]> {
  const [firmware = '', ...others] = files;
  const titles = new Set<string>();
  for (const title of files.map((file) => basename(file))) {
    if (titles.has(title))
      throw new ConfigError(`file: two files have the name ${JSON.stringify(title)}. Rename one of them`);
    titles.add(title);
  }
  const layers: [BlobSource, ...BlobSource[]] = [await describeFile(firmware, basename(firmware), mediaType)];
  for (const file of others) layers.push(await describeFile(file, basename(file), undefined));
  return layers;
}

/** Returns whether `existing` are the same files, by content and name, in the same order. */
function holds(existing: readonly Layer[], layers: readonly BlobSource[]): boolean {
  if (existing.length !== layers.length) return false;
  const isAlone = layers.length === 1;
  return layers.every(({ descriptor }, i) => {
    const layer = existing[i];
    const isNamed = isAlone || layer?.annotations?.[Annotation.title] === descriptor.annotations?.[Annotation.title];
    return layer?.digest === descriptor.digest && isNamed;
  });
}

/** A server with this limit would pass the version over, and serve an older one. */
function demandSize(bytes: number, maxBytes: number, force = false): void {
  if (bytes <= maxBytes || force) return;
  throw new ConfigError(
    `file: it has ${bytes} bytes, more than --max-firmware-size (${maxBytes}). Servers with this limit do not serve it: raise the limit here and there, or use --force`,
  );
}

async function write(
  writer: ArtifactWriter,
  repository: string,
  tag: string,
  artifact: Artifact,
  signer: Signer | undefined,
  line: StatusLine | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const layer of artifact.layers) {
    const { size, annotations } = layer.descriptor;
    const progress = line && new Progress(line, annotations?.[Annotation.title] ?? '', size);
    await writer.writeBlob(repository, layer, signal, (bytes) => {
      progress?.update(bytes);
    });
  }
  await writer.writeBlob(repository, artifact.config, signal);
  const { descriptor, bytes } = artifact.manifest;
  if (signer) {
    // The tag comes last: the server never sees the version without its signature (decision 73).
    await writer.writeManifest(repository, descriptor.digest, descriptor, bytes, signal);
    line?.clear();
    await signer.sign(repository, descriptor, signal);
  }
  await writer.writeManifest(repository, tag, descriptor, bytes, signal);
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
  readonly manifest: Descriptor;
  readonly layers: readonly Layer[];
  /** Returns whether its manifest has this annotation. */
  says(key: string, value: string): boolean;
}

/** A layer of an artifact. Its digest is missing if its descriptor cannot be read. */
type Layer = Pick<Descriptor, 'annotations'> & { readonly digest?: string };

/** The tags in `repository`; none when it does not exist yet, because the push makes it. */
async function tagsIn(registry: Registry, repository: string, signal: AbortSignal): Promise<string[]> {
  try {
    return await registry.listTags(repository, signal);
  } catch (error) {
    if (error instanceof OtaError && error.code === 'absent') return [];
    throw error;
  }
}

/** What the registry has under `version` already, by whichever tag; undefined for nothing. */
async function existingLayers(
  registry: Registry,
  repository: string,
  version: string,
  versions: readonly Candidate[],
  signal: AbortSignal,
): Promise<Existing | undefined> {
  const same = versions.find((candidate) => candidate.version === version);
  if (!same) return undefined;
  try {
    const descriptor = await registry.resolve(repository, same.tag, signal);
    const { content } = await registry.fetchManifest(repository, descriptor, signal);
    const layers = content.kind === 'manifest' ? content.layers : [];
    return {
      tag: same.tag,
      digest: descriptor.digest,
      manifest: descriptor,
      layers,
      says: (key, value) => content.annotations?.[key] === value,
    };
  } catch (error) {
    // Somebody has deleted it just now.
    if (error instanceof OtaError && error.code === 'absent') return undefined;
    throw error;
  }
}
