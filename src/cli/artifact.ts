import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { ConfigError } from '../errors.js';
import { fileProblem } from '../file-problem.js';
import { Annotation, digestOf, MediaType, type Descriptor } from '../oci/index.js';
import type { BlobSource } from '../registry/index.js';

/** Everything that makes a pushed release. */
export interface Artifact {
  /** The firmware, and the other files of the release. */
  readonly layers: readonly BlobSource[];
  readonly config: BlobSource;
  readonly manifest: { readonly descriptor: Descriptor; readonly bytes: Buffer };
}

export interface ArtifactOptions {
  artifactType?: string;
  annotation: Readonly<Record<string, string>>;
  /** Stated in the manifest, so that a signature covers it: a tag is not signed. */
  version: string;
}

/** The first byte of an ESP image (esptool, `ESP_IMAGE_MAGIC`). */
const ESP_IMAGE_MAGIC = 0xe9;
const ESP_ARTIFACT_TYPE = 'application/vnd.espressif.esp32.firmware.v1';
/** The artifact type that oras uses by default. */
const UNKNOWN_ARTIFACT_TYPE = 'application/vnd.unknown.artifact.v1';
/** The empty descriptor (image-spec 1.1, manifest.md, "Guidance for an Empty Descriptor"). */
const EMPTY = Buffer.from('{}');

/** A firmware file as a layer, hashed; throws ConfigError when it cannot be read or is empty. */
export async function describeFile(path: string, title: string, mediaType: string | undefined): Promise<BlobSource> {
  const hash = createHash('sha256');
  let size = 0;
  let first: number | undefined;
  try {
    for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
      first ??= piece[0];
      size += piece.length;
      hash.update(piece);
    }
  } catch (error) {
    throw new ConfigError(`file: cannot read ${JSON.stringify(path)}: ${fileProblem(error)}`);
  }
  if (size === 0) throw new ConfigError(`file: ${JSON.stringify(path)} is empty, expected a firmware file`);
  const type = mediaType ?? (first === ESP_IMAGE_MAGIC ? MediaType.espFirmware : MediaType.octetStream);
  const descriptor: Descriptor = {
    mediaType: type,
    digest: `sha256:${hash.digest('hex')}`,
    size,
    annotations: { [Annotation.title]: title },
  };
  return { descriptor, open: () => createReadStream(path) };
}

/** The artifact around `layers`, the first of which is the firmware, as oras 1.3 writes it (image-spec 1.1, manifest.md, "Guidelines for Artifact Usage"). */
export function buildArtifact(
  layers: readonly [BlobSource, ...BlobSource[]],
  { artifactType, annotation, version }: ArtifactOptions,
): Artifact {
  const config: Descriptor = {
    mediaType: MediaType.ociEmpty,
    digest: digestOf(EMPTY),
    size: EMPTY.length,
    data: EMPTY.toString('base64'),
  };
  const type =
    artifactType ??
    (layers[0].descriptor.mediaType === MediaType.espFirmware ? ESP_ARTIFACT_TYPE : UNKNOWN_ARTIFACT_TYPE);
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      artifactType: type,
      config,
      layers: layers.map(({ descriptor }) => descriptor),
      annotations: {
        [Annotation.created]: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
        [Annotation.version]: version,
        ...annotation,
      },
    }),
  );
  const descriptor: Descriptor = {
    mediaType: MediaType.ociManifest,
    digest: digestOf(bytes),
    size: bytes.length,
    artifactType: type,
  };
  return {
    layers,
    config: { descriptor: config, open: () => Readable.from([EMPTY]) },
    manifest: { descriptor, bytes },
  };
}
