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

/** How the firmware lies in its blob. */
export type Packing = 'none' | 'tar' | 'tar+gzip';

/** Where the firmware of a manifest is. */
export interface Location {
  /** The manifest that holds it: the one asked about, or a child of that index. */
  readonly manifest: Descriptor;
  readonly blob: Descriptor;
  readonly packing: Packing;
}

/** An index of an image for every platform there is has some 30; more are not looked at. */
const MAX_CHILDREN = 32;

/** Finds which bytes of an artifact are the firmware. */
export class FirmwareLocator {
  constructor(
    private readonly registry: Registry,
    /** The title of the layer to take, or the path in a tar layer, when there are several. */
    private readonly firmwareFile: string | undefined,
  ) {}

  /** Where the firmware is, or NoFirmware when the artifact holds none. */
  async locate(repository: string, fetched: FetchedManifest, signal: AbortSignal): Promise<Location> {
    if (fetched.content.kind === 'manifest') return this.inManifest(fetched.content, fetched.descriptor);
    const reasons: string[] = [];
    for (const child of childrenOf(fetched.content)) {
      const { content } = await fetchNamed(this.registry, repository, child, signal);
      try {
        if (content.kind === 'manifest') return this.inManifest(content, child);
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

  private inManifest(manifest: Manifest, descriptor: Descriptor): Location {
    const layers = manifest.layers.filter(
      (layer) => layer.mediaType !== MediaType.ociEmpty && ('fault' in layer || layer.size > 0),
    );
    const layer = this.choose(layers);
    const blob = layer && readable(layer);
    if (!blob)
      throw new NoFirmware(
        'the artifact has no layer with content. Push a firmware file, for example with otaflux push',
      );
    return { manifest: descriptor, blob, packing: packingOfLayer(blob) };
  }

  /** The first layer; where several files stand beside each other and one is asked for, that one. */
  private choose<T extends Descriptor | UnreadableLayer>(layers: readonly T[]): T | undefined {
    if (this.firmwareFile === undefined || layers.length < 2) return layers[0];
    const titled = layers.find((layer) => layer.annotations?.[Annotation.title] === this.firmwareFile);
    if (titled) return titled;
    // Layers of a container image lie on top of each other: what was copied last is on top.
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

/** What the media type says; ORAS gives any file without a type that of a tar, so it is checked when the bytes are read. */
function packingOfLayer(layer: Descriptor): Packing {
  const packing = packingOf(layer.mediaType);
  if (packing === 'tar+zstd')
    throw new NoFirmware('the layer is compressed with zstd, which is not supported. Use gzip or no compression');
  return packing;
}

/** The manifests of an index but for attestations (BuildKit's attestation storage). */
function childrenOf(index: Index): Descriptor[] {
  return index.manifests
    .filter(({ annotations, platform }) => {
      const attestation = annotations?.[Annotation.dockerReferenceType] === 'attestation-manifest';
      return !attestation && !(platform?.os === 'unknown' && platform.architecture === 'unknown');
    })
    .slice(0, MAX_CHILDREN);
}

/** A manifest that a tag or an index names. One that is missing is broken, or not there yet: it does not hold no firmware. */
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
