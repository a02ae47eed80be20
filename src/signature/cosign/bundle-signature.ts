import { bundleFromJSON, type Bundle } from '@sigstore/bundle';
import { dsse } from '@sigstore/core';
import { toSignedEntity } from '@sigstore/verify';
import { z } from 'zod';
import type { Digest } from '../../oci/index.js';
import { MalformedSignature, type Refusal, type StoredSignature } from './stored-signature.js';

/**
 * The media type of a bundle. It is also the artifact type of the manifest that contains it (cosign v3, sigstore's
 * protobuf-specs).
 */
export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const IN_TOTO = 'application/vnd.in-toto+json';
const STATEMENT = 'https://in-toto.io/Statement/v1';
/** The predicate of a cosign signature. An attestation about the same manifest has another one. */
const COSIGN_PREDICATE = 'https://sigstore.dev/cosign/sign/v1';

/** The needed fields of an in-toto statement v1 (in-toto/attestation, spec/v1/statement.md). */
const statementSchema = z.object({
  _type: z.string(),
  predicateType: z.string(),
  subject: z.array(z.object({ digest: z.record(z.string(), z.string()) })).min(1),
});
type Statement = z.infer<typeof statementSchema>;

/**
 * Returns the signature in a Sigstore bundle.
 *
 * @param manifest the bytes of the manifest, for a bundle that signs them directly
 * @throws MalformedSignature if it is not a bundle, or has no signature of a kind that cosign creates
 */
export function parseBundle(bytes: Buffer, manifest: Buffer): StoredSignature {
  const bundle = readBundle(bytes);
  const { content } = bundle;
  if (content.$case === 'messageSignature') {
    return {
      ...common(bundle, manifest),
      data: manifest,
      signature: content.messageSignature.signature,
      // The bytes are those of the manifest. Their digest was checked when they were read.
      refute: () => undefined,
    };
  }
  const { payload, payloadType, signatures } = content.dsseEnvelope;
  if (payloadType !== IN_TOTO)
    throw new MalformedSignature(
      `its envelope contains ${JSON.stringify(payloadType)}, expected ${IN_TOTO}. Sign it again with cosign 3`,
    );
  const statement = readStatement(payload);
  return {
    ...common(bundle, manifest),
    data: dsse.preAuthEncoding(payloadType, payload),
    signature: signatures[0]?.sig ?? Buffer.alloc(0),
    refute: (digest) => refuteStatement(statement, digest),
  };
}

function common(bundle: Bundle, manifest: Buffer): Pick<StoredSignature, 'form' | 'certified' | 'reference'> {
  const keyed = bundle.verificationMaterial.content.$case === 'publicKey';
  return { form: 'bundle', reference: undefined, certified: keyed ? undefined : toEntity(bundle, manifest) };
}

function toEntity(bundle: Bundle, manifest: Buffer): StoredSignature['certified'] {
  try {
    return toSignedEntity(bundle, manifest);
  } catch (error) {
    throw new MalformedSignature('its certificate or time stamp cannot be read. Sign it again', { cause: error });
  }
}

function readBundle(bytes: Buffer): Bundle {
  try {
    return bundleFromJSON(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    throw new MalformedSignature('it is not a Sigstore bundle that can be read. Sign it again with cosign 3', {
      cause: error,
    });
  }
}

function readStatement(payload: Buffer): Statement {
  try {
    return statementSchema.parse(JSON.parse(payload.toString('utf8')));
  } catch (error) {
    throw new MalformedSignature('its envelope contains no in-toto statement. Sign it again with cosign 3', {
      cause: error,
    });
  }
}

function refuteStatement({ _type, predicateType, subject }: Statement, manifest: Digest): Refusal | undefined {
  if (_type !== STATEMENT || predicateType !== COSIGN_PREDICATE) {
    return {
      code: 'wrong-predicate',
      reason: `it is a statement of type ${predicateType}, expected ${COSIGN_PREDICATE}. Sign the artifact with cosign sign`,
    };
  }
  const named = subject.flatMap(({ digest }) =>
    Object.entries(digest).map(([algorithm, hex]) => `${algorithm}:${hex}`),
  );
  return named.includes(manifest)
    ? undefined
    : { code: 'wrong-subject', reason: `it signs ${named[0] ?? 'nothing'}, not ${manifest}. Sign this digest` };
}
