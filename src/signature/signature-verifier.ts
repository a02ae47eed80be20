import { NEVER, type Observable } from 'rxjs';
import type { Descriptor } from '../oci/index.js';
import type { Registry } from '../registry/index.js';

/** How a signature is stored: as a Sigstore bundle (cosign v3), or under a `.sig` tag (cosign v1 and v2). */
export type SignatureForm = 'bundle' | 'legacy';

/** Why a manifest is not trusted. If it has several signatures, the reason of the one that is closest to valid. */
export type Distrust =
  /** It has no signature. */
  | 'no-signature'
  /** No policy matches the device. */
  | 'no-policy'
  /** The stored content is not a signature. */
  | 'malformed'
  /** Signed with another key, or with a certificate although a key is required, or the reverse. */
  | 'key-mismatch'
  /** The signature is for other bytes. */
  | 'bad-signature'
  /** A valid signature of other content. */
  | 'wrong-subject'
  /** A valid signature of another statement, such as an attestation. */
  | 'wrong-predicate'
  /** A valid signature for another registry or repository. */
  | 'wrong-reference'
  /** The signed content states another version than its tag. */
  | 'wrong-version'
  /** Signed by another identity. */
  | 'wrong-identity'
  /** Another issuer confirmed the identity. */
  | 'wrong-issuer'
  /** The certificate is not from a trusted authority. */
  | 'bad-certificate'
  /** The certificate was not valid at the time of the signature. */
  | 'expired'
  /** The entry in the transparency log is missing. */
  | 'not-in-log'
  /** The entry in the transparency log is invalid. */
  | 'bad-log-entry'
  /** A valid time of the signature is missing. */
  | 'bad-timestamp';

/** The signer, the form of the signature and its time, as far as they are known. */
export interface Signer {
  /** `key sha256:…`, the digest of a public key, or `IDENTITY (ISSUER)`. */
  readonly name: string;
  readonly form: SignatureForm;
  /** Time according to a log or a timestamp authority. Undefined for keys. */
  readonly at: Date | undefined;
  /** Fingerprint of the key, if a key signed. */
  readonly key?: string | undefined;
  /** Identity and issuer in the certificate, if a certificate signed. */
  readonly identity?: string | undefined;
  readonly issuer?: string | undefined;
  /** The registry and repository for which a legacy signature was created (`docker-reference`). */
  readonly reference?: string | undefined;
}

/** The result of a verification: whether a manifest may be served. */
export type Verification =
  /** `signer` is undefined if no signature is required. */
  | { readonly trusted: true; readonly signer: Signer | undefined }
  /** `reason` is one line for the log. */
  | { readonly trusted: false; readonly code: Distrust; readonly reason: string };

/**
 * Decides whether a manifest may be served. This abstract class is also the injection token.
 *
 * @publicApi
 */
export abstract class SignatureVerifier {
  /**
   * Returns whether `manifest` has a valid signature for `repository`. The result is about the digest, so serve that
   * digest. Rejects with OtaError `unavailable` if the signatures cannot be read now, and with `protocol` if the
   * registry answers wrongly. The manifest is then neither trusted nor untrusted.
   *
   * @param registry where to read the signatures; default: the registry of the service. It may repeat answers that were
   *   recorded before a restart
   */
  abstract verify(
    repository: string,
    manifest: Descriptor,
    signal: AbortSignal,
    registry?: Registry,
  ): Promise<Verification>;

  /**
   * Returns whether a signature of `signer` for `repository`, which was verified before, would still be trusted. Sends
   * no request.
   */
  stillTrusts(_repository: string, _signer: Signer | undefined): boolean {
    return true;
  }

  /** Emits when keys or policies have changed. Earlier results must then be verified again. */
  get changes(): Observable<void> {
    return NEVER;
  }
}
