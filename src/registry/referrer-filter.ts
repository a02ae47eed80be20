import { essenceOf, MediaType, type Descriptor } from '../oci/index.js';

/**
 * Returns the entries that may have `artifactType`. Their manifests decide. Entries under the fallback tag may lack the
 * type, and go-containerregistry (its registry, and cosign v2 under the fallback tag) replaces it with the type of the
 * empty config.
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
