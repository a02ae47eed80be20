import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { badBody, DeviceRefusal, jsonIn, type DeviceRequest } from '../../delivery/index.js';
import { isUnitName } from '../../identity.js';

/** Who asks for a token, verified: it has the private key that belongs to `key`. */
export interface Login {
  /** The identity data: one value as it is, several as `name=value`, sorted by name and separated by commas. */
  readonly unit: string;
  /** SHA-256 of the public key (DER of SubjectPublicKeyInfo), 64 hex digits. */
  readonly key: string;
}

/** A key of 8,192 bits has about 1,600 characters. */
const MAX_PEM = 4_096;
const PEM = /^\s*-----BEGIN (?:RSA )?PUBLIC KEY-----/;
const MIN_RSA_BITS = 2_048;
/** Verifying with a longer key takes too long. */
const MAX_RSA_BITS = 8_192;
const CURVES = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const MAX_SIGNATURE = 2_048;
const verified = promisify(verify);

/**
 * Returns who sends an authentication request. Its signature is over the bytes of the body as they were sent. Rejects with
 * a DeviceRefusal: 400 for a malformed request, 401 for a wrong signature.
 */
export async function loginIn({ body, raw }: DeviceRequest): Promise<Login> {
  const { id_data: identity, pubkey } = jsonIn(body);
  const unit = unitIn(identity);
  const key = publicKeyIn(pubkey);
  const signature = raw.headers['x-men-signature'];
  if (typeof signature !== 'string' || signature.length > MAX_SIGNATURE)
    throw badBody('the header X-MEN-Signature is missing');
  if (!(await isSigned(body, key, Buffer.from(signature, 'base64'))))
    throw new DeviceRefusal(
      401,
      'The signature of the request does not match its key',
      [],
      'a Mender device has sent a wrong signature. Check its key, and proxies that change requests',
    );
  return {
    unit,
    key: createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex'),
  };
}

/** RSA with PKCS #1 v1.5, and ECDSA in DER, over SHA-256; Ed25519 over the body itself. */
async function isSigned(body: Buffer, key: KeyObject, signature: Buffer): Promise<boolean> {
  try {
    return await verified(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', body, key, signature);
  } catch {
    return false;
  }
}

function publicKeyIn(pem: unknown): KeyObject {
  if (typeof pem !== 'string' || pem.length > MAX_PEM || !PEM.test(pem)) throw badKey();
  let key: KeyObject;
  try {
    key = createPublicKey({ key: pem, format: 'pem' });
  } catch {
    throw badKey();
  }
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  const isUsable =
    key.asymmetricKeyType === 'rsa'
      ? modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS
      : key.asymmetricKeyType === 'ec'
        ? CURVES.has(namedCurve)
        : key.asymmetricKeyType === 'ed25519';
  if (!isUsable) throw badKey();
  return key;
}

const badKey = (): DeviceRefusal =>
  badBody('pubkey: expected a public key in PEM: RSA of 2,048 to 8,192 bits, an EC key of a NIST curve, or Ed25519');

/**
 * Returns the name of the unit. The identity data is a JSON object in a string; its values are texts, or lists of texts.
 * A long one is named by its SHA-256.
 */
function unitIn(identity: unknown): string {
  let values: unknown;
  try {
    values = typeof identity === 'string' ? JSON.parse(identity) : undefined;
  } catch {
    values = undefined;
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) throw badIdentity();
  const entries = Object.entries(values)
    .map(([name, value]): [string, string] => [name, textOf(value)])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const [first] = entries;
  if (!first) throw badIdentity();
  const unit = entries.length === 1 ? first[1] : entries.map(([name, value]) => `${name}=${value}`).join(',');
  if (isUnitName(unit)) return unit;
  if (unit === '') throw badIdentity();
  return `sha256:${createHash('sha256').update(unit).digest('hex')}`;
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join('+');
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw badIdentity();
}

const badIdentity = (): DeviceRefusal =>
  badBody('id_data: expected a JSON object of texts in a string, such as "{\\"mac\\":\\"24:6f:28:aa:bb:cc\\"}"');
