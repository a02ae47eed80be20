import type { Descriptor } from '../oci/index.js';

/** Whether a manifest may be served. */
export type Verification =
  | {
      readonly trusted: true;
      /** Who signed: a key's fingerprint or an identity; undefined when nothing is verified. */
      readonly signedBy?: string | undefined;
    }
  | {
      readonly trusted: false;
      /** In one line, for the log. */
      readonly reason: string;
    };

/**
 * Decides whether a manifest may be served. Being an abstract class, it is also the token that it is injected by.
 *
 * Rejects with OtaError `unavailable` when signatures cannot be asked for now: that is neither trusted nor untrusted.
 *
 * @publicApi
 */
export abstract class SignatureVerifier {
  abstract verify(repository: string, manifest: Descriptor, signal: AbortSignal): Promise<Verification>;
}
