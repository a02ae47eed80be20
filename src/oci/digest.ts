import { createHash, type Hash } from 'node:crypto';
import { OtaError } from '../errors.js';

/** The digest algorithms that image-spec 1.1 registers (descriptor.md, "Registered algorithms"). */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** A digest: `sha256:` and 64 hex digits, or `sha512:` and 128 (image-spec 1.1, descriptor.md). */
export type Digest = `${DigestAlgorithm}:${string}`;

const PATTERN = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** Returns whether `text` is a digest of a registered algorithm. */
export function isDigest(text: string): text is Digest {
  return PATTERN.test(text);
}

/** Returns `text` as a Digest. Throws OtaError `protocol` if it is not a digest. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new OtaError(
      'protocol',
      `not a digest: got ${JSON.stringify(text.slice(0, 150))}, expected sha256:HEX or sha512:HEX`,
    );
  }
  return text;
}

/** Returns the algorithm of `digest`. */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** Returns the hex digits of `digest`, without the algorithm. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** Returns a new hash with the algorithm of `digest`. */
export function hasherFor(digest: Digest): Hash {
  return createHash(algorithmOf(digest));
}

/** Returns the digest of `bytes`. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
