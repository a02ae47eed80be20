import { Logger } from '@nestjs/common';
import pLimit from 'p-limit';
import { OtaError, reasonOf } from '../errors.js';
import { Annotation, MalformedManifest, type Descriptor, type Index, type Manifest } from '../oci/index.js';
import type { Registry } from '../registry/index.js';
import { childrenOf, fetchNamed, layersOf, type FirmwareLocator, type Location } from './firmware-locator.js';
import type { Annotations, Contents, Image } from './image.js';
import { NoFirmware } from './no-firmware.js';

/** Images of a release. Further ones are not served. */
const MAX_IMAGES = 64;
/** 1 to 255 characters without control characters, as file systems accept. */
const TITLE = /^[^\p{C}]{1,255}$/u;
const DEFAULT_TITLE = 'firmware.bin';
const KEPT_ANNOTATION = /^(?:org\.opencontainers\.image|vnd\.otaflux)\./;
/** Characters of all annotations of an image that are kept. */
const MAX_ANNOTATIONS = 8192;
/** Manifests of an index that are fetched at the same time. */
const CONCURRENCY = 4;
const MAX_WARNED = 1000;

type Part = Pick<Location, 'content' | 'blob' | 'packing' | 'manifest'>;

/**
 * Lists the files of an artifact: the firmware, the other layers with a title, and the same of the other manifests of
 * an index.
 */
export class ReleaseContents {
  private readonly logger = new Logger('ReleaseContents');

  constructor(
    private readonly registry: Registry,
    private readonly locator: FirmwareLocator,
    /** The artifacts that were logged. Bounded. */
    private readonly warned: Set<string>,
  ) {}

  /**
   * Returns the content of the artifact in which `location` is the firmware. A manifest of the index that cannot be
   * fetched is left out, so that it does not hold up the firmware.
   *
   * @param onlyManifest whether to ignore the index, because only the manifest with the firmware is signed
   */
  async of(repository: string, location: Location, onlyManifest: boolean, signal: AbortSignal): Promise<Contents> {
    const index = onlyManifest ? undefined : location.index;
    const { parts, isComplete } = index
      ? await this.partsOf(repository, location, index, signal)
      : { parts: [location], isComplete: true };
    return {
      images: distinct(parts.flatMap((part) => imagesOf(part, index))).slice(0, MAX_IMAGES),
      annotations: this.annotationsOf(location, onlyManifest),
      isComplete,
    };
  }

  /** Returns the annotations of the same content. */
  annotationsOf({ index, manifest, content }: Location, onlyManifest: boolean): Annotations {
    return onlyManifest || !index
      ? kept(content.annotations)
      : kept(index.annotations, manifest.annotations, content.annotations);
  }

  /** Returns the manifests with firmware of an index, the one of `location` first. */
  private async partsOf(
    repository: string,
    location: Location,
    index: Index,
    signal: AbortSignal,
  ): Promise<{ parts: Part[]; isComplete: boolean }> {
    const others = childrenOf(index).filter(({ digest }) => digest !== location.manifest.digest);
    const limit = pLimit(CONCURRENCY);
    let isComplete = true;
    const found = await Promise.all(
      others.map((child) =>
        limit(() => this.partOf(repository, child, signal)).catch((error: unknown) => {
          isComplete &&= isPermanent(error);
          this.warn(repository, child, error);
          return undefined;
        }),
      ),
    );
    return { parts: [location, ...found.filter((part) => part !== undefined)], isComplete };
  }

  /** Returns the location of the firmware of `child`, or undefined if it has none. */
  private async partOf(repository: string, child: Descriptor, signal: AbortSignal): Promise<Part | undefined> {
    const { content } = await fetchNamed(this.registry, repository, child, signal);
    if (content.kind !== 'manifest') return undefined;
    try {
      return this.locator.inManifest(content, child);
    } catch (error) {
      if (error instanceof NoFirmware) return undefined;
      throw error;
    }
  }

  private warn(repository: string, { digest }: Descriptor, error: unknown): void {
    const artifact = `${repository}@${digest}`;
    if (this.warned.has(artifact)) return;
    if (this.warned.size >= MAX_WARNED) this.warned.clear();
    this.warned.add(artifact);
    this.logger.warn({
      event: 'release.image_missing',
      artifact,
      reason: `a manifest of the index cannot be read, so its files are not served: ${reasonOf(error)}`,
    });
  }
}

/** Returns whether the registry would give the same answer again: the manifest is not there, or is no manifest. */
function isPermanent(error: unknown): boolean {
  if (error instanceof MalformedManifest) return true;
  return error instanceof OtaError && error.cause instanceof OtaError && error.cause.code === 'absent';
}

/** Returns the firmware of a manifest, and its other layers with a title. */
function imagesOf({ content, blob, packing, manifest }: Part, index: Index | undefined): Image[] {
  const inherited = [index?.annotations, index && manifest.annotations, content.annotations] as const;
  const firmware: Image = {
    title: titleOf(blob) ?? DEFAULT_TITLE,
    mediaType: blob.mediaType,
    digest: blob.digest,
    sizeBytes: packing === 'none' ? blob.size : undefined,
    source: { blob, packing },
    annotations: kept(...inherited, blob.annotations),
  };
  return [firmware, ...filesOf(content, blob).map((layer) => fileOf(layer, inherited))];
}

/** Returns `images` without those that have the digest and the title of an earlier one. */
function distinct(images: readonly Image[]): Image[] {
  const seen = new Set<string>();
  return images.filter(({ digest, title }) => {
    const key = `${digest} ${title}`;
    return !seen.has(key) && seen.add(key);
  });
}

function filesOf(manifest: Manifest, firmware: Descriptor): Descriptor[] {
  return layersOf(manifest).filter(
    (layer): layer is Descriptor =>
      !('fault' in layer) && layer.digest !== firmware.digest && titleOf(layer) !== undefined,
  );
}

/** Its bytes are sent as they are in the registry, even if they are an archive. */
function fileOf(blob: Descriptor, inherited: readonly (Annotations | undefined)[]): Image {
  return {
    title: titleOf(blob) ?? DEFAULT_TITLE,
    mediaType: blob.mediaType,
    digest: blob.digest,
    sizeBytes: blob.size,
    source: { blob, packing: 'none' },
    annotations: kept(...inherited, blob.annotations),
  };
}

function titleOf({ annotations }: Descriptor): string | undefined {
  const title = annotations?.[Annotation.title];
  return title !== undefined && TITLE.test(title) ? title : undefined;
}

const NONE: Annotations = Object.freeze({});

/** Merges annotations, the later over the earlier ones. Keeps those that OtaFlux and its protocols may need. */
function kept(...levels: (Annotations | undefined)[]): Annotations {
  const all: Record<string, string> = {};
  for (const level of levels)
    for (const [key, value] of Object.entries(level ?? {})) if (KEPT_ANNOTATION.test(key)) all[key] = value;
  let left = MAX_ANNOTATIONS;
  const bounded = Object.entries(all).filter(([key, value]) => (left -= key.length + value.length) >= 0);
  return bounded.length === 0 ? NONE : Object.freeze(Object.fromEntries(bounded));
}
