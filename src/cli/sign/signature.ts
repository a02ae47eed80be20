import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { dsse } from '@sigstore/core';
import { hexOf, type Digest } from '../../oci/index.js';

/** The media type of a Sigstore bundle (sigstore/protobuf-specs), and the artifact type of the manifest around it. */
export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
export const COSIGN_PREDICATE = 'https://sigstore.dev/cosign/sign/v1';
const IN_TOTO = 'application/vnd.in-toto+json';

/** Returns the bundle that `cosign sign` v3 makes for a manifest with a key: an in-toto statement in a DSSE envelope. */
export function bundleFor(manifest: Digest, key: KeyObject): Buffer {
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { [manifest.split(':', 1)[0] ?? '']: hexOf(manifest) }, annotations: {} }],
    predicateType: COSIGN_PREDICATE,
    predicate: {},
  };
  const payload = Buffer.from(JSON.stringify(statement));
  const signature = signatureOver(dsse.preAuthEncoding(IN_TOTO, payload), key);
  return Buffer.from(
    JSON.stringify({
      mediaType: BUNDLE_TYPE,
      verificationMaterial: { publicKey: { hint: hintOf(key) } },
      dsseEnvelope: {
        payload: payload.toString('base64'),
        payloadType: IN_TOTO,
        signatures: [{ sig: signature.toString('base64') }],
      },
    }),
  );
}

/** Returns the payload that `cosign sign` v2 signs (sigstore/cosign, specs/SIGNATURE_SPEC.md). */
export function legacyPayload(manifest: Digest, reference: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': reference },
        image: { 'docker-manifest-digest': manifest },
        type: 'cosign container image signature',
      },
      optional: null,
    }),
  );
}

/** Returns the signature of `key` over `payload`, as cosign makes it in the legacy form. */
export function legacySignature(payload: Buffer, key: KeyObject): Buffer {
  return signatureOver(payload, key);
}

/** What `cosign verify` accepts of every kind of key: SHA-256 for each curve, and Ed25519 without hashing before. */
function signatureOver(bytes: Buffer, key: KeyObject): Buffer {
  return sign(key.asymmetricKeyType === 'ed25519' ? undefined : 'sha256', bytes, key);
}

function hintOf(key: KeyObject): string {
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('base64');
}
