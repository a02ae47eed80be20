import { Readable } from 'node:stream';
import { Annotation, digestOf, MediaType, type Descriptor } from '../../oci/index.js';
import { PLAN_ARTIFACT_TYPE, PLAN_MEDIA_TYPE } from '../../plan/plan.js';
import type { BlobSource } from '../../registry/index.js';

/** Everything that makes a pushed plan. */
export interface PlanArtifact {
  readonly blobs: readonly BlobSource[];
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

const EMPTY = Buffer.from('{}');

/**
 * Returns the artifact of a plan. The same text always makes the same bytes, so a push can be repeated after a failure.
 *
 * @param form `artifact` is that of image-spec 1.1; `config` states the type in the media type of the config, for
 *   registries that refuse the field `artifactType`
 */
export function planArtifact(text: string, form: 'artifact' | 'config' = 'artifact'): PlanArtifact {
  const layer = blobOf(PLAN_MEDIA_TYPE, Buffer.from(text), { [Annotation.title]: 'plan.yaml' });
  const config = blobOf(form === 'artifact' ? MediaType.ociEmpty : PLAN_ARTIFACT_TYPE, EMPTY);
  const manifest = {
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    ...(form === 'artifact' && { artifactType: PLAN_ARTIFACT_TYPE }),
    config: config.descriptor,
    layers: [layer.descriptor],
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  return {
    blobs: [layer, config],
    bytes,
    descriptor: { mediaType: MediaType.ociManifest, digest: digestOf(bytes), size: bytes.length },
  };
}

function blobOf(mediaType: string, bytes: Buffer, annotations?: Record<string, string>): BlobSource {
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length, ...(annotations && { annotations }) };
  return { descriptor, open: () => Readable.from([bytes]) };
}
