import { ExplainedError } from './errors.js';
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

/** The content of PEM blocks by their labels (RFC 7468, SSH and cosign). */
const BLOCKS: readonly (readonly [RegExp, string])[] = [
  [/^(?:TRUSTED |X509 )?CERTIFICATE$/, 'a certificate'],
  [/^(?:NEW )?CERTIFICATE REQUEST$/, 'a certificate request'],
  [/^X509 CRL$/, 'a revocation list'],
  [/^ENCRYPTED .*PRIVATE KEY$/, 'an encrypted private key'],
  [/^OPENSSH PRIVATE KEY$/, 'a private key of SSH'],
  [/PRIVATE KEY$/, 'a private key'],
  [/^RSA PUBLIC KEY$/, 'a public key in the old form PKCS#1'],
  [/^SSH2 PUBLIC KEY$/, 'a public key of SSH'],
  [/^PUBLIC KEY$/, 'a public key'],
];

/** Returns what `text` contains, for an error message: `a private key`, or `no PEM text`. */
export function contentOf(text: string): string {
  const labels = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----/g)].map(([, label = '']) => label);
  const kinds = labels.map((label) => BLOCKS.find(([pattern]) => pattern.test(label))?.[1] ?? `a block ${label}`);
  if (kinds.length > 0) return [...new Set(kinds)].join(' and ');
  if (text.trim() === '') return 'nothing';
  if (/^(?:ssh|ecdsa|sk)-[a-z0-9-]+ AAAA/m.test(text)) return 'a public key of SSH';
  // A DER file begins with the tag of a sequence and a long length.
  return /^0[\x80-\xff\ufffd]/.test(text) ? 'DER instead of PEM text' : 'no PEM text';
}

/**
 * Returns the certificates in `text`. The first one is the certificate of the server or client itself.
 *
 * @throws Error with one line that says what the text contains instead
 */
export function certificatesIn(text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN (?:X509 )?CERTIFICATE-----[\s\S]*?-----END (?:X509 )?CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) {
    const cutOff = text.includes('-----BEGIN CERTIFICATE-----');
    throw new ExplainedError(
      cutOff
        ? 'its certificate is cut off: the END CERTIFICATE line is missing. Copy the whole file'
        : `it holds ${contentOf(text)}, expected a certificate in PEM text (BEGIN CERTIFICATE)`,
    );
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      const which = blocks.length === 1 ? 'its certificate' : `certificate ${index + 1} in it`;
      throw new ExplainedError(`${which} is damaged. Copy it again from where it was issued`, { cause });
    }
  });
}

/**
 * Returns the private key in `text`.
 *
 * @throws Error with one line that says what the text contains instead
 */
export function privateKeyIn(text: string): KeyObject {
  const encrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text);
  if (encrypted)
    throw new ExplainedError(
      'its private key is encrypted, and cannot be opened. Write it without a passphrase: openssl pkey -in OLD -out NEW',
    );
  if (!/-----BEGIN (?:RSA |EC )?PRIVATE KEY-----/.test(text))
    throw new ExplainedError(`it holds ${contentOf(text)}, expected a private key in PEM text (BEGIN PRIVATE KEY)`);
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw new ExplainedError('its private key is damaged. Copy it again from where it was made', { cause });
  }
}

/**
 * Returns the certificate in the file `certPath`, after checking that it belongs to the key in the file `keyPath`.
 *
 * @throws Error with one line that names the wrong file
 */
export function certificateOfPair(certPath: string, cert: string, keyPath: string, key: string): X509Certificate {
  const [certificate] = inFile(certPath, () => certificatesIn(cert));
  const privateKey = inFile(keyPath, () => privateKeyIn(key));
  if (certificate?.checkPrivateKey(privateKey)) return certificate;
  throw new ExplainedError(
    `the key in ${JSON.stringify(keyPath)} does not belong to the certificate in ${JSON.stringify(certPath)}. Give the key that it was issued for`,
  );
}

/** Returns the result of `read`. Adds the name of the file to its errors. */
export function inFile<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ExplainedError(`${JSON.stringify(path)}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
