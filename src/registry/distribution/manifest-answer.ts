import { OtaError } from '../../errors.js';
import { essenceOf, isDigest, isIndexType, isManifestType, type Descriptor } from '../../oci/index.js';
import { header, type RegistryResponse } from './transport.js';

/** The descriptor in the headers of a manifest's answer, or undefined when they do not tell all of it. */
export function describe(response: RegistryResponse): Descriptor | undefined {
  const digest = header(response, 'docker-content-digest');
  const size = Number(header(response, 'content-length'));
  const mediaType = contentType(response);
  if (digest === undefined || !isDigest(digest) || !(isManifestType(mediaType) || isIndexType(mediaType)))
    return undefined;
  // Some state no length, or 0, in the answer to HEAD; that of a compressed body is another.
  if (!Number.isInteger(size) || size <= 0 || header(response, 'content-encoding') !== undefined) return undefined;
  return { mediaType, digest, size };
}

/** The media type of a manifest's answer; empty when it says nothing about a manifest (`application/json`, `text/plain`). */
export function contentType(response: RegistryResponse): string {
  const type = essenceOf(header(response, 'content-type') ?? '');
  return type.startsWith('application/vnd.') ? type : '';
}

/** `descriptor`, which `reference` was asked for; throws OtaError `protocol` when that is another digest. */
export function expectDigest(descriptor: Descriptor, reference: string): Descriptor {
  if (isDigest(reference) && descriptor.digest !== reference) {
    throw new OtaError(
      'protocol',
      `the registry was asked for ${reference}, and sent ${descriptor.digest}. Check the registry and its storage`,
    );
  }
  return descriptor;
}
