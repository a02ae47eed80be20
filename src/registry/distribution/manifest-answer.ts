import { OtaError } from '../../errors.js';
import { essenceOf, isDigest, isIndexType, isManifestType, type Descriptor } from '../../oci/index.js';
import { header, type RegistryResponse } from './transport.js';

/** Returns the descriptor in the headers of a response with a manifest, or undefined if they are incomplete. */
export function describe(response: RegistryResponse): Descriptor | undefined {
  const digest = header(response, 'docker-content-digest');
  const size = Number(header(response, 'content-length'));
  const mediaType = contentType(response);
  if (digest === undefined || !isDigest(digest) || !(isManifestType(mediaType) || isIndexType(mediaType)))
    return undefined;
  // Some registries send no length, or 0, in the response to HEAD. The length of a compressed body differs.
  if (!Number.isInteger(size) || size <= 0 || header(response, 'content-encoding') !== undefined) return undefined;
  return { mediaType, digest, size };
}

/**
 * Returns the media type of a response with a manifest. Returns an empty text for types that say nothing about a
 * manifest (`application/json`, `text/plain`).
 */
export function contentType(response: RegistryResponse): string {
  const type = essenceOf(header(response, 'content-type') ?? '');
  return type.startsWith('application/vnd.') ? type : '';
}

/** Returns `descriptor`. Throws OtaError `protocol` if `reference`, for which it was requested, is another digest. */
export function expectDigest(descriptor: Descriptor, reference: string): Descriptor {
  if (isDigest(reference) && descriptor.digest !== reference) {
    throw new OtaError(
      'protocol',
      `the registry was asked for ${reference}, and sent ${descriptor.digest}. Check the registry and its storage`,
    );
  }
  return descriptor;
}
