import { createPrivateKey, scrypt, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { ConfigError, reasonOf } from '../../errors.js';
import { fileProblem } from '../../file-problem.js';
import { privateKeyIn } from '../../pem.js';
import { askSecret, isInteractive } from '../prompt.js';

const COSIGN_KEY = /-----BEGIN ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY-----([\s\S]*?)-----END/;
const CURVES = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
/** scrypt takes 128 * N * r bytes. cosign takes 64 MiB; a damaged file must not ask for all memory. */
const MAX_SCRYPT_BYTES = 1024 * 1024 * 1024;

/** The content of a private key of cosign (secure-systems-lab/go-securesystemslib, encrypted/encrypted.go). */
interface EncryptedKey {
  readonly kdf: { readonly name: string; readonly params: { N: number; r: number; p: number }; readonly salt: string };
  readonly cipher: { readonly name: string; readonly nonce: string };
  readonly ciphertext: string;
}

/**
 * Returns the private key in a PEM file: an unencrypted one, or one of `cosign generate-key-pair`, whose password is in
 * COSIGN_PASSWORD or is asked for. Rejects with ConfigError if it cannot be used.
 */
export async function readSigningKey(path: string): Promise<KeyObject> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new ConfigError(`--sign-key: cannot read ${path}: ${fileProblem(error)}`);
  });
  const encrypted = COSIGN_KEY.exec(text)?.[1];
  try {
    const key = encrypted === undefined ? privateKeyIn(text) : await decrypt(encrypted, path);
    demandSupported(key);
    return key;
  } catch (error) {
    if (ConfigError.is(error)) throw error;
    throw new ConfigError(`--sign-key: ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

function demandSupported({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): void {
  if (type === 'ed25519' || type === 'rsa' || (type === 'ec' && CURVES.has(details?.namedCurve ?? ''))) return;
  throw new ConfigError(
    `--sign-key: keys of type ${[type, details?.namedCurve].filter(Boolean).join(' ')} are not supported. Expected P-256, P-384, P-521, RSA or Ed25519`,
  );
}

async function decrypt(base64: string, path: string): Promise<KeyObject> {
  const { kdf, cipher, ciphertext } = parse(base64, path);
  const { N, r, p } = kdf.params;
  if (kdf.name !== 'scrypt' || cipher.name !== 'nacl/secretbox' || !(128 * N * r <= MAX_SCRYPT_BYTES))
    throw new ConfigError(
      `--sign-key: ${path} is encrypted with ${kdf.name} and ${cipher.name}, which is not supported. Expected a key of cosign generate-key-pair`,
    );
  const password = await passwordFor(path);
  const derive = promisify<string, Buffer, number, object, Buffer>(scrypt);
  const key = await derive(password, Buffer.from(kdf.salt, 'base64'), 32, { N, r, p, maxmem: 2 * MAX_SCRYPT_BYTES });
  // Only an encrypted key needs it.
  const { xsalsa20poly1305 } = await import('@noble/ciphers/salsa.js');
  let der: Uint8Array;
  try {
    der = xsalsa20poly1305(key, Buffer.from(cipher.nonce, 'base64')).decrypt(Buffer.from(ciphertext, 'base64'));
  } catch (cause) {
    throw new ConfigError(`--sign-key: the password of ${path} is wrong. Set COSIGN_PASSWORD`, { cause });
  }
  return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
}

function parse(base64: string, path: string): EncryptedKey {
  try {
    const key = JSON.parse(Buffer.from(base64, 'base64').toString('utf8')) as EncryptedKey;
    const { N, r, p } = key.kdf.params;
    const texts = [key.kdf.name, key.kdf.salt, key.cipher.name, key.cipher.nonce, key.ciphertext];
    if ([N, r, p].every((number) => Number.isInteger(number)) && texts.every((text) => typeof text === 'string'))
      return key;
  } catch {
    // It is damaged, too.
  }
  throw new ConfigError(`--sign-key: ${path} is damaged. Copy it again, or run cosign generate-key-pair`);
}

async function passwordFor(path: string): Promise<string> {
  const password = process.env.COSIGN_PASSWORD;
  if (password !== undefined) return password;
  const asked = isInteractive() ? await askSecret(`Password of ${path}: `) : undefined;
  if (asked !== undefined) return asked;
  throw new ConfigError(`--sign-key: ${path} is encrypted. Set COSIGN_PASSWORD to its password`);
}
