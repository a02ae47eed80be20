import { PolicyError, VerificationError, Verifier, type SignedEntity, type TrustMaterial } from '@sigstore/verify';
import { reasonOf } from '../../errors.js';
import { isSignatureOf } from '../keys/public-key.js';
import type { Distrust } from '../signature-verifier.js';
import type { Refusal, StoredSignature } from './stored-signature.js';

export interface CertificateCheckOptions {
  /** Do not require the transparency log. */
  readonly ignoreTlog: boolean;
  /** Do not require the certificate transparency log. */
  readonly ignoreSct: boolean;
}

/** The signer according to a certificate, after all checks. */
export interface CertifiedSigner {
  readonly identity: string | undefined;
  readonly issuer: string | undefined;
  readonly at: Date | undefined;
}

/** Checks certificate chain, log entries, timestamps and signature. The caller checks the identity. */
export function checkCertificate(
  { certified, data, signature }: StoredSignature,
  material: TrustMaterial,
  { ignoreTlog, ignoreSct }: CertificateCheckOptions,
): CertifiedSigner | Refusal {
  if (!certified)
    return {
      code: 'key-mismatch',
      reason: 'it is signed with a key, expected a certificate (--cosign-certificate-identity)',
    };
  if (!ignoreTlog && certified.tlogEntries.length === 0)
    return {
      code: 'not-in-log',
      reason:
        'it has no entry in the transparency log. Sign with one, or set --cosign-insecure-ignore-tlog in a private deployment',
    };
  const entity = withOwnSignature(ignoreTlog ? withoutLog(certified) : certified, data, signature);
  try {
    const verifier = new Verifier(material, {
      tlogThreshold: ignoreTlog ? 0 : 1,
      ctlogThreshold: ignoreSct ? 0 : 1,
      timestampThreshold: 1,
    });
    const { identity } = verifier.verify(entity);
    return { identity: identity?.subjectAlternativeName, issuer: identity?.extensions?.issuer, at: timeOf(entity) };
  } catch (error) {
    return { code: distrustOf(error), reason: whyNotTrusted(error) };
  }
}

/** Checks the signature with every hash that cosign uses. The library only supports SHA-256. */
function withOwnSignature(entity: SignedEntity, data: Buffer, signature: Buffer): SignedEntity {
  const own = entity.signature;
  return {
    ...entity,
    signature: {
      signature: own.signature,
      compareSignature: (other) => own.compareSignature(other),
      compareDigest: (digest) => own.compareDigest(digest),
      verifySignature: (key) => isSignatureOf(key, data, signature),
    },
  };
}

/**
 * Checks without log entries, whose log may be unknown here. Without a timestamp of an authority, the certificate must
 * be valid now.
 */
function withoutLog(entity: SignedEntity): SignedEntity {
  const timestamps = entity.timestamps.filter(({ $case }) => $case === 'timestamp-authority');
  return { ...entity, tlogEntries: [], timestamps: timestamps.length > 0 ? timestamps : [presentTime()] };
}

function presentTime(): SignedEntity['timestamps'][number] {
  const seconds = String(Math.floor(Date.now() / 1000));
  return {
    $case: 'transparency-log',
    tlogEntry: {
      integratedTime: seconds,
      logId: { keyId: Buffer.alloc(0) },
      inclusionPromise: { signedEntryTimestamp: Buffer.alloc(0) },
    } as Extract<SignedEntity['timestamps'][number], { $case: 'transparency-log' }>['tlogEntry'],
  };
}

function timeOf({ timestamps }: SignedEntity): Date | undefined {
  const [first] = timestamps;
  if (!first) return undefined;
  return first.$case === 'timestamp-authority'
    ? first.timestamp.signingTime
    : new Date(Number(first.tlogEntry.integratedTime) * 1000);
}

/** What sigstore's codes mean, in words. */
const WORDS: Readonly<Record<string, string | undefined>> = {
  CERTIFICATE_ERROR: 'its certificate is not from an authority of the trusted root. Check --sigstore-trusted-root-path',
  SIGNATURE_ERROR: 'its signature does not match the content. Sign it again',
  TIMESTAMP_ERROR: 'its time stamp is missing or wrong. Sign it again, or check --sigstore-trusted-root-path',
  PUBLIC_KEY_ERROR: 'it is signed with an unknown key. Check --cosign-pub-key-path',
  TLOG_BODY_ERROR: 'its entry in the transparency log is about something else. Sign it again',
  TLOG_INCLUSION_PROOF_ERROR: 'the proof of its entry in the transparency log is wrong. Sign it again',
  TLOG_INCLUSION_PROMISE_ERROR:
    'its entry in the transparency log is not signed by a known log. Check --sigstore-trusted-root-path',
  TLOG_MISSING_INCLUSION_ERROR: 'its entry in the transparency log has no proof. Sign it again',
};

function whyNotTrusted(error: unknown): string {
  if (distrustOf(error) === 'expired') return 'its certificate was not valid at the time of signing. Sign it again';
  const words = error instanceof VerificationError ? WORDS[error.code] : undefined;
  return words ?? 'its signature cannot be read. Sign it again with cosign 2 or 3';
}

function distrustOf(error: unknown): Distrust {
  if (error instanceof PolicyError) return 'wrong-identity';
  if (!(error instanceof VerificationError)) return 'malformed';
  switch (error.code) {
    case 'CERTIFICATE_ERROR':
      return reasonOf(error).includes('expired') ? 'expired' : 'bad-certificate';
    case 'SIGNATURE_ERROR':
      return 'bad-signature';
    case 'TIMESTAMP_ERROR':
      return 'bad-timestamp';
    case 'PUBLIC_KEY_ERROR':
      return 'key-mismatch';
    default:
      return 'bad-log-entry';
  }
}
