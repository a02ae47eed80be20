import { ExplainedError } from '../../errors.js';
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import { ed25519ph } from '@noble/curves/ed25519.js';
import { contentOf } from '../../pem.js';

/** A public key, and the way in which cosign signs with such a key. */
export interface PublicKey {
  /** `sha256:` and the hex digest of its DER form (SubjectPublicKeyInfo). */
  readonly fingerprint: string;
  readonly key: KeyObject;
}

const BEGIN = '-----BEGIN PUBLIC KEY-----';
const PEM = /-----BEGIN PUBLIC KEY-----[\s\S]*?-----END PUBLIC KEY-----/g;
const CURVES = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 4096;
/** cosign v2 hashes with SHA-256 for every curve. v3 uses SHA-384 for P-384 and SHA-512 for P-521 (seen on v3.1.3). */
const HASHES = ['sha256', 'sha384', 'sha512'];

/** Returns whether `text` contains a block that is labelled as a public key. */
export function holdsPublicKey(text: string): boolean {
  return text.includes(BEGIN);
}

/**
 * Returns all public keys in PEM text. Throws an Error that says what is wrong with one, also if its end is missing.
 */
export function parsePublicKeys(text: string): PublicKey[] {
  const blocks = text.match(PEM) ?? [];
  // An incomplete file must not count as one whose keys were revoked.
  if (text.split(BEGIN).length - 1 !== blocks.length)
    throw new ExplainedError('its public key is cut off: the END PUBLIC KEY line is missing. Copy the whole file');
  return blocks.map((pem) => {
    const key = keyIn(pem);
    demandSupported(key);
    return { key, fingerprint: fingerprintOf(key) };
  });
}

function keyIn(pem: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch (cause) {
    throw new ExplainedError('its public key is damaged. Copy it again from where it was made', { cause });
  }
}

/** Returns what `text` contains instead of a public key, and where to find one. */
export function noPublicKeyIn(text: string): string {
  const content = contentOf(text);
  const advice = content.includes('certificate')
    ? '. The command openssl x509 -pubkey -noout -in FILE prints the public key of a certificate'
    : content.includes('private key')
      ? '. The command cosign public-key --key FILE prints the public key of a private one'
      : '';
  return `it holds ${content}, expected a public key in PEM text (BEGIN PUBLIC KEY)${advice}`;
}

export function fingerprintOf(key: KeyObject): string {
  return `sha256:${createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')}`;
}

function demandSupported({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): void {
  if (type === 'ed25519') return;
  if (type === 'ec' && CURVES.has(details?.namedCurve ?? '')) return;
  const bits = details?.modulusLength ?? 0;
  if (type === 'rsa' && bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS) return;
  const what = [type, details?.namedCurve, type === 'rsa' ? `${bits} bits` : undefined].filter(Boolean).join(' ');
  throw new ExplainedError(
    `its public key is of type ${what}, which is not supported. Expected P-256, P-384, P-521, RSA of 2048 to 4096 bits, or Ed25519`,
  );
}

/**
 * Returns whether `signature` is a signature of `key` over `data`, in any way in which cosign signs: ECDSA and RSA
 * (PKCS#1 v1.5) over a SHA-2 hash, Ed25519 plain, or pre-hashed (Ed25519ph, RFC 8032, section 5.1), which cosign v3
 * uses.
 */
export function isSignatureOf(key: KeyObject, data: Buffer, signature: Buffer): boolean {
  try {
    if (key.asymmetricKeyType !== 'ed25519') return HASHES.some((hash) => verify(hash, data, key, signature));
    return verify(undefined, data, key, signature) || isPreHashed(key, data, signature);
  } catch {
    return false;
  }
}

/** Node's crypto does not have Ed25519ph. */
function isPreHashed(key: KeyObject, data: Buffer, signature: Buffer): boolean {
  const raw = key.export({ type: 'spki', format: 'der' }).subarray(-32);
  return ed25519ph.verify(signature, data, raw);
}
