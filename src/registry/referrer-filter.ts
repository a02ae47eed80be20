import { essenceOf, MediaType, type Descriptor } from '../oci/index.js';

/**
 * The entries that may be of `artifactType`; whoever reads their manifests decides. Entries under the fallback tag may
 * lack the type, and go-containerregistry (its registry, and what cosign v2 writes under the fallback tag) puts that of
 * the empty config in its place.
 */
export function mayBeOfType(entries: readonly Descriptor[], artifactType: string | undefined): Descriptor[] {
  const wanted = artifactType === undefined ? undefined : essenceOf(artifactType);
  return entries.filter(
    (entry) =>
      wanted === undefined ||
      entry.artifactType === undefined ||
      entry.artifactType === wanted ||
      entry.artifactType === MediaType.ociEmpty,
  );
}
