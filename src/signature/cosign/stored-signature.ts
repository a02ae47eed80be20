import type { SignedEntity } from '@sigstore/verify';
import type { Digest } from '../../oci/index.js';
import type { Distrust, SignatureForm } from '../signature-verifier.js';

/** Why something does not count. */
export interface Refusal {
  readonly code: Distrust;
  readonly reason: string;
}

/** One signature as it was found in the registry, taken apart but not believed. */
export interface StoredSignature {
  readonly form: SignatureForm;
  /** The bytes that are signed. */
  readonly data: Buffer;
  readonly signature: Buffer;
  /** What goes with a certificate: the certificate itself, log entries, timestamps. Undefined when a key signed. */
  readonly certified: SignedEntity | undefined;
  /** The registry and repository that it was made for, where it says so. */
  readonly reference: string | undefined;
  /** Why the signed bytes, were they good, would not speak of `manifest`; undefined when they do. */
  refute(manifest: Digest): Refusal | undefined;
}

/** Something stored where a signature belongs that is none. */
export class MalformedSignature extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'MalformedSignature';
  }
}
