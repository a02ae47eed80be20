import type { SignedEntity } from '@sigstore/verify';
import type { Digest } from '../../oci/index.js';
import type { Distrust, SignatureForm } from '../signature-verifier.js';

/** Why a signature does not count. */
export interface Refusal {
  readonly code: Distrust;
  readonly reason: string;
}

/** A parsed signature from the registry, not verified yet. */
export interface StoredSignature {
  readonly form: SignatureForm;
  /** The signed bytes. */
  readonly data: Buffer;
  readonly signature: Buffer;
  /** The certificate, log entries and timestamps. Undefined if a key signed. */
  readonly certified: SignedEntity | undefined;
  /** The registry and repository for which it was created, if it states them. */
  readonly reference: string | undefined;
  /** Returns why the signed bytes are not about `manifest`, or undefined if they are. */
  refute(manifest: Digest): Refusal | undefined;
}

/** The content in the place of a signature is not a signature. */
export class MalformedSignature extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'MalformedSignature';
  }
}
