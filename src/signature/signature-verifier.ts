import { NEVER, type Observable } from 'rxjs';
import type { Descriptor } from '../oci/index.js';

/** How a signature is stored: as a Sigstore bundle (cosign v3), or under a `.sig` tag (cosign v1 and v2). */
export type SignatureForm = 'bundle' | 'legacy';

/** Why a manifest is not trusted. The closest that any of its signatures came to being good. */
export type Distrust =
  /** It has no signature at all. */
  | 'no-signature'
  /** No policy says who may sign it. */
  | 'no-policy'
  /** What is stored as a signature is none. */
  | 'malformed'
  /** Signed by another key, or by a certificate where a key is asked for, or the other way round. */
  | 'key-mismatch'
  /** The signature is over other bytes. */
  | 'bad-signature'
  /** A good signature of something else. */
  | 'wrong-subject'
  /** A good signature that says something else about it. */
  | 'wrong-predicate'
  /** A good signature for another registry or repository. */
  | 'wrong-reference'
  /** What is signed states another version than its tag does. */
  | 'wrong-version'
  /** Another identity signed it. */
  | 'wrong-identity'
  /** Somebody else vouched for the identity. */
  | 'wrong-issuer'
  /** The certificate does not come from a trusted authority. */
  | 'bad-certificate'
  /** The certificate was not valid when it was signed. */
  | 'expired'
  /** No entry in the transparency log. */
  | 'not-in-log'
  /** An entry in the transparency log that does not hold. */
  | 'bad-log-entry'
  /** No good time of signing. */
  | 'bad-timestamp';

/** Who signed, by which form, and when, as far as that is known. */
export interface Signer {
  /** `key sha256:…`, the digest of a public key, or `IDENTITY (ISSUER)`. */
  readonly name: string;
  readonly form: SignatureForm;
  /** From a log or a timestamp authority; keys alone tell no time. */
  readonly at: Date | undefined;
  /** The fingerprint of the key, when a key signed. */
  readonly key?: string | undefined;
  /** Identity and issuer in the certificate, when one signed. */
  readonly identity?: string | undefined;
  readonly issuer?: string | undefined;
  /** The registry and repository that a legacy signature says it was made for (`docker-reference`). */
  readonly reference?: string | undefined;
}

/** Whether a manifest may be served. */
export type Verification =
  /** `signer` is undefined when nothing was asked for. */
  | { readonly trusted: true; readonly signer: Signer | undefined }
  /** `reason` is one line for the log. */
  | { readonly trusted: false; readonly code: Distrust; readonly reason: string };

/**
 * Decides whether a manifest may be served. Being an abstract class, it is also the token that it is injected by.
 *
 * @publicApi
 */
export abstract class SignatureVerifier {
  /**
   * Whether `manifest` carries a signature that is good for `repository`. The digest is what is judged: serve that.
   * Rejects with OtaError `unavailable` when signatures cannot be asked for now, which is neither trusted nor
   * untrusted, and `protocol` when the registry answers wrongly.
   */
  abstract verify(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<Verification>;

  /** Whether what `signer` signed for `repository` before would still be trusted. Asks nobody. */
  stillTrusts(_repository: string, _signer: Signer | undefined): boolean {
    return true;
  }

  /** Tells that keys or policies changed, and that what was judged before must be judged again. */
  get changes(): Observable<void> {
    return NEVER;
  }
}
