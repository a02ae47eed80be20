import { BUNDLE_V01_MEDIA_TYPE, bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity } from '@sigstore/verify';
import { createHash, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { Descriptor, Digest } from '../../oci/index.js';
import { MalformedSignature, type Refusal, type StoredSignature } from './stored-signature.js';

/** The media type of a simple signing payload (sigstore/cosign, specs/SIGNATURE_SPEC.md). */
export const SIMPLE_SIGNING_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const PAYLOAD_TYPE = 'cosign container image signature';

/** Annotations of a layer (SIGNATURE_SPEC.md, "Properties"). */
const SIGNATURE = 'dev.cosignproject.cosign/signature';
const CERTIFICATE = 'dev.sigstore.cosign/certificate';
const BUNDLE = 'dev.sigstore.cosign/bundle';
const TIMESTAMP = 'dev.sigstore.cosign/rfc3161timestamp';

const payloadSchema = z.object({
  critical: z.object({
    type: z.string(),
    image: z.object({ 'docker-manifest-digest': z.string() }),
    identity: z.object({ 'docker-reference': z.string().nullish() }).nullish(),
  }),
});
type Payload = z.infer<typeof payloadSchema>['critical'];

/** The response of Rekor to the log entry, as cosign stores it. */
const logSchema = z.object({
  SignedEntryTimestamp: z.string(),
  Payload: z.object({ body: z.string(), integratedTime: z.number(), logIndex: z.number(), logID: z.string() }),
});
const entrySchema = z.object({ kind: z.string(), apiVersion: z.string() });
const timestampSchema = z.object({ SignedRFC3161Timestamp: z.string() });

/**
 * Returns the signature in one layer of a `.sig` manifest and its payload. Throws MalformedSignature if it is not a
 * signature.
 */
export function parseLegacy(layer: Descriptor, payload: Buffer): StoredSignature {
  const encoded = layer.annotations?.[SIGNATURE];
  if (!encoded) throw new MalformedSignature(`its layer has no annotation ${SIGNATURE}. Sign it again with cosign`);
  const signature = Buffer.from(encoded, 'base64');
  const critical = readPayload(payload);
  return {
    form: 'legacy',
    data: payload,
    signature,
    certified: certified(layer, payload, signature),
    reference: critical.identity?.['docker-reference'] || undefined,
    refute: (manifest) => refutePayload(critical, manifest),
  };
}

function readPayload(payload: Buffer): Payload {
  try {
    return payloadSchema.parse(JSON.parse(payload.toString('utf8'))).critical;
  } catch (error) {
    throw new MalformedSignature('its payload is not simple signing JSON. Sign it again with cosign', { cause: error });
  }
}

function refutePayload({ type, image }: Payload, manifest: Digest): Refusal | undefined {
  if (type !== PAYLOAD_TYPE)
    return {
      code: 'wrong-predicate',
      reason: `its payload is of type ${JSON.stringify(type)}, expected ${JSON.stringify(PAYLOAD_TYPE)}. Sign it again with cosign`,
    };
  const signed = image['docker-manifest-digest'];
  return signed === manifest
    ? undefined
    : { code: 'wrong-subject', reason: `it signs ${signed}, not ${manifest}. Sign this digest` };
}

/** Returns the certificate and its proofs in the form of a bundle v0.1, which has the same parts. */
function certified(layer: Descriptor, payload: Buffer, signature: Buffer): StoredSignature['certified'] {
  const pem = layer.annotations?.[CERTIFICATE];
  if (!pem) return undefined;
  try {
    const log = layer.annotations[BUNDLE];
    const timestamp = layer.annotations[TIMESTAMP];
    const serialized = {
      mediaType: BUNDLE_V01_MEDIA_TYPE,
      verificationMaterial: {
        x509CertificateChain: { certificates: [{ rawBytes: new X509Certificate(pem).raw.toString('base64') }] },
        tlogEntries: log ? [logEntry(log)] : [],
        timestampVerificationData: timestamp
          ? {
              rfc3161Timestamps: [
                { signedTimestamp: timestampSchema.parse(JSON.parse(timestamp)).SignedRFC3161Timestamp },
              ],
            }
          : undefined,
      },
      messageSignature: {
        messageDigest: { algorithm: 'SHA2_256', digest: createHash('sha256').update(payload).digest('base64') },
        signature: signature.toString('base64'),
      },
    };
    return toSignedEntity(bundleFromJSON(serialized), payload);
  } catch (error) {
    throw new MalformedSignature('its certificate or log entry cannot be read. Sign it again', { cause: error });
  }
}

function logEntry(annotation: string): object {
  const { SignedEntryTimestamp, Payload: entry } = logSchema.parse(JSON.parse(annotation));
  const { kind, apiVersion } = entrySchema.parse(JSON.parse(Buffer.from(entry.body, 'base64').toString('utf8')));
  return {
    logIndex: String(entry.logIndex),
    logId: { keyId: Buffer.from(entry.logID, 'hex').toString('base64') },
    kindVersion: { kind, version: apiVersion },
    integratedTime: String(entry.integratedTime),
    inclusionPromise: { signedEntryTimestamp: SignedEntryTimestamp },
    canonicalizedBody: entry.body,
  };
}
