import { generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bits, bytes, context, integer, octets, oid, sequence, set, time, truth, utf8 } from './der.js';

export interface IssuedFiles {
  readonly cert: string;
  readonly key: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const ECDSA_WITH_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));

/** A certificate authority in a folder that the test removes. Its keys are on the curve P-256. */
export class Authority {
  /** The path of its own certificate. */
  readonly cert: string;
  /** The path of its private key. */
  readonly keyPath: string;
  private readonly keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  /** @param san the subject alternative names of an authority that is a server, too */
  constructor(
    private readonly folder: string,
    private readonly name: string,
    san = '',
  ) {
    mkdirSync(folder, { recursive: true });
    this.cert = join(folder, `${name}.crt`);
    this.keyPath = join(folder, `${name}.key`);
    this.write(this.cert, this.keyPath, this.keys, this.certify(name, this.keys.publicKey, san, 2, true));
  }

  /**
   * A certificate for `name`, with the subject alternative names `san`, such as `IP:127.0.0.1` or `DNS:a,DNS:b`.
   * The names of an array are taken as they are.
   */
  issue(name: string, san: string | string[] = 'IP:127.0.0.1', days = 2): IssuedFiles {
    const path = (end: string): string => join(this.folder, `${this.name}-${name.replaceAll('/', '_')}.${end}`);
    const [cert, key] = [path('crt'), path('key')];
    const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.write(cert, key, keys, this.certify(name, keys.publicKey, san, days, false));
    return { cert, key };
  }

  get pem(): Buffer {
    return readFileSync(this.cert);
  }

  private write(cert: string, key: string, { privateKey }: { privateKey: KeyObject }, certificate: Buffer): void {
    writeFileSync(cert, new X509Certificate(certificate).toString());
    writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  }

  /** A certificate of version 3 (RFC 5280, section 4.1) in DER. */
  private certify(
    subject: string,
    publicKey: KeyObject,
    san: string | string[],
    days: number,
    isAuthority: boolean,
  ): Buffer {
    const now = Date.now();
    const names = typeof san === 'string' ? san.split(',').filter(Boolean) : san;
    const extensions = [
      ...(isAuthority ? [sequence(oid('2.5.29.19'), truth(true), octets(sequence(truth(true))))] : []),
      ...(names.length > 0 ? [sequence(oid('2.5.29.17'), octets(sequence(...names.map(generalName))))] : []),
    ];
    const toBeSigned = sequence(
      context(0, integer(Buffer.from([2]))),
      integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
      ECDSA_WITH_SHA256,
      distinguishedName(this.name),
      sequence(time(new Date(now - 1_000)), time(new Date(now + days * DAY_MS))),
      distinguishedName(subject),
      publicKey.export({ type: 'spki', format: 'der' }),
      ...(extensions.length > 0 ? [context(3, sequence(...extensions))] : []),
    );
    return sequence(toBeSigned, ECDSA_WITH_SHA256, bits(sign('sha256', toBeSigned, this.keys.privateKey)));
  }
}

const distinguishedName = (name: string): Buffer => sequence(set(sequence(oid('2.5.4.3'), utf8(name))));

/** A GeneralName (RFC 5280, section 4.2.1.6) of its form in OpenSSL's configuration. */
function generalName(text: string): Buffer {
  const [, kind = '', value = ''] = /^(\w+):(.*)$/.exec(text.trim()) ?? [];
  switch (kind) {
    case 'email':
      return bytes(0x81, Buffer.from(value));
    case 'DNS':
      return bytes(0x82, Buffer.from(value));
    case 'URI':
      return bytes(0x86, Buffer.from(value));
    case 'IP':
      return bytes(0x87, Buffer.from(value.split('.').map(Number)));
    default:
      throw new Error(`no subject alternative name: ${text}`);
  }
}
