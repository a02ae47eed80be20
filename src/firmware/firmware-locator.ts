import { OtaError } from '../errors.js';
import {
  Annotation,
  MediaType,
  packingOf,
  readable,
  type Descriptor,
  type Index,
  type Manifest,
  type UnreadableLayer,
} from '../oci/index.js';
import type { FetchedManifest, Registry } from '../registry/index.js';
import { NoFirmware } from './no-firmware.js';

/** How the firmware is packed in its blob. */
export type Packing = 'none' | 'tar' | 'tar+gzip';

/** The location of the firmware of a manifest. */
export interface Location {
  /** The manifest with the firmware: the given manifest, or an entry of the given index. */
  readonly manifest: Descriptor;
  readonly blob: Descriptor;
  readonly packing: Packing;
  readonly content: Manifest;
  /** The index that contains the manifest, if there is one. */
  readonly index?: Index | undefined;
}

/** The index of an image for every platform has about 30 entries. More are not examined. */
const MAX_CHILDREN = 32;

/** Finds the firmware in an artifact. */
export class FirmwareLocator {
  constructor(
    private readonly registry: Registry,
    /** Title of the layer, or path in a tar layer, to select if there are several. */
    private readonly firmwareFile: string | undefined,
  ) {}

  /** Returns the location of the firmware. Rejects with NoFirmware if the artifact has none. */
  async locate(repository: string, fetched: FetchedManifest, signal: AbortSignal): Promise<Location> {
    if (fetched.content.kind === 'manifest') return this.inManifest(fetched.content, fetched.descriptor);
    const index = fetched.content;
    const reasons: string[] = [];
    for (const child of childrenOf(index)) {
      const { content } = await fetchNamed(this.registry, repository, child, signal);
      try {
        if (content.kind === 'manifest') return { ...this.inManifest(content, child), index };
        reasons.push('the index contains another index, which is not followed. Push the firmware as a manifest');
      } catch (error) {
        if (!(error instanceof NoFirmware)) throw error;
        reasons.push(error.message);
      }
    }
    throw new NoFirmware(
      `no manifest of the index contains firmware${reasons.length > 0 ? `: ${reasons[0] ?? ''}` : '. Push one that does'}`,
    );
  }

  /** Returns the location of the firmware of `manifest`. Throws NoFirmware if there is none. */
  inManifest(manifest: Manifest, descriptor: Descriptor): Location {
    const layer = this.choose(layersOf(manifest));
    const blob = layer && readable(layer);
    if (!blob)
      throw new NoFirmware(
        'the artifact has no layer with content. Push a firmware file, for example with otaflux push',
      );
    return { manifest: descriptor, blob, packing: packingOfLayer(blob), content: manifest };
  }

  /** Returns the first layer. If several layers are files and one is selected by its title, returns that one. */
  private choose<T extends Descriptor | UnreadableLayer>(layers: readonly T[]): T | undefined {
    if (this.firmwareFile === undefined || layers.length < 2) return layers[0];
    const titled = layers.find((layer) => layer.annotations?.[Annotation.title] === this.firmwareFile);
    if (titled) return titled;
    // Layers of a container image are stacked: the file that was copied last is in the last layer.
    if (
      layers.every(
        (layer) => packingOf(layer.mediaType) !== 'none' && layer.annotations?.[Annotation.title] === undefined,
      )
    )
      return layers.at(-1);
    const titles = layers.map((layer) => layer.annotations?.[Annotation.title] ?? 'untitled').join(', ');
    throw new NoFirmware(
      `no layer has the title ${JSON.stringify(this.firmwareFile)} that --firmware-file names. The titles are ${titles}`,
    );
  }
}

/**
 * Returns the packing according to the media type. ORAS labels files without a type as tars, so the packing is checked
 * again when the bytes are read.
 */
function packingOfLayer(layer: Descriptor): Packing {
  const packing = packingOf(layer.mediaType);
  if (packing === 'tar+zstd')
    throw new NoFirmware('the layer is compressed with zstd, which is not supported. Use gzip or no compression');
  return packing;
}

/** Returns the layers with content. */
export function layersOf({ layers }: Manifest): (Descriptor | UnreadableLayer)[] {
  return layers.filter((layer) => layer.mediaType !== MediaType.ociEmpty && ('fault' in layer || layer.size > 0));
}

/** Returns the manifests of an index without attestations (BuildKit's attestation storage). */
export function childrenOf(index: Index): Descriptor[] {
  return index.manifests
    .filter(({ annotations, platform }) => {
      const attestation = annotations?.[Annotation.dockerReferenceType] === 'attestation-manifest';
      return !attestation && !(platform?.os === 'unknown' && platform.architecture === 'unknown');
    })
    .slice(0, MAX_CHILDREN);
}

/**
 * Returns a manifest of a tag or an index. If it is missing, the artifact is broken or incomplete, which does not mean
 * that it has no firmware.
 */
export async function fetchNamed(
  registry: Registry,
  repository: string,
  manifest: Descriptor,
  signal: AbortSignal,
): Promise<FetchedManifest> {
  try {
    return await registry.fetchManifest(repository, manifest, signal);
  } catch (error) {
    if (error instanceof OtaError && error.code === 'absent')
      throw new OtaError('protocol', error.message, { cause: error });
    throw error;
  }
}
