import { createHash, type Hash } from 'node:crypto';
import { OtaError } from '../errors.js';

/** The algorithms that image-spec 1.1 registers (descriptor.md, "Registered algorithms"). */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** A digest as it is written: `sha256:` and 64 hex digits, or `sha512:` and 128 (image-spec 1.1, descriptor.md). */
export type Digest = `${DigestAlgorithm}:${string}`;

const PATTERN = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** Whether `text` is a digest of a registered algorithm. */
export function isDigest(text: string): text is Digest {
  return PATTERN.test(text);
}

/** `text` as a digest; throws OtaError `protocol` when it is none. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new OtaError(
      'protocol',
      `not a digest: got ${JSON.stringify(text.slice(0, 150))}, expected sha256:HEX or sha512:HEX`,
    );
  }
  return text;
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** A running hash by the algorithm of `digest`. */
export function hasherFor(digest: Digest): Hash {
  return createHash(algorithmOf(digest));
}

/** The digest of `bytes`. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
