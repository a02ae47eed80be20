import { afterAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ed25519ph } from '@noble/curves/ed25519.js';
import { KeyRing } from './key-ring.js';
import { isSignatureOf, parsePublicKeys } from './public-key.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-key-ring-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const DATA = Buffer.from('what is signed');
const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });

describe('a public key', () => {
  it.each([
    ['P-256 with SHA-256', ec('P-256'), 'sha256'],
    ['P-384 with SHA-384, as cosign v3 signs', ec('P-384'), 'sha384'],
    ['P-384 with SHA-256, as cosign v2 signs', ec('P-384'), 'sha256'],
    ['P-521 with SHA-512', ec('P-521'), 'sha512'],
    ['RSA 2048', rsa(2048), 'sha256'],
    ['RSA 4096', rsa(4096), 'sha256'],
    ['Ed25519', generateKeyPairSync('ed25519'), undefined],
  ] as const)('%s verifies its signature, and no other', (_name, { publicKey, privateKey }, hash) => {
    const [parsed] = parsePublicKeys(pem(publicKey));
    const signature = sign(hash, DATA, privateKey);
    expect(isSignatureOf(parsed!.key, DATA, signature)).toBe(true);
    expect(isSignatureOf(parsed!.key, Buffer.from('something else'), signature)).toBe(false);
    for (let at = 0; at < signature.length; at += 7) {
      const flipped = Buffer.from(signature);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      expect(isSignatureOf(parsed!.key, DATA, flipped)).toBe(false);
    }
    for (const none of [Buffer.alloc(0), Buffer.alloc(64), Buffer.alloc(1000)])
      expect(isSignatureOf(parsed!.key, DATA, none)).toBe(false);
  });

  it('Ed25519 verifies what is pre-hashed, too, as cosign v3 signs', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const seed = privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-32);
    const signature = Buffer.from(ed25519ph.sign(DATA, seed));
    expect(isSignatureOf(publicKey, DATA, signature)).toBe(true);
    expect(isSignatureOf(publicKey, Buffer.from('x'), signature)).toBe(false);
  });

  it.each([
    ['secp256k1', ec('secp256k1').publicKey, /type ec secp256k1, which is not supported/],
    ['RSA of 1024 bits', rsa(1024).publicKey, /rsa 1024 bits, which is not supported/],
    ['X25519', generateKeyPairSync('x25519').publicKey, /x25519, which is not supported/],
  ])('%s is refused', (_name, key, message) => {
    expect(() => parsePublicKeys(pem(key))).toThrow(message);
  });

  it('that is broken is refused', () => {
    expect(() => parsePublicKeys('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----')).toThrow();
  });
});

describe('a key ring', () => {
  const file = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const one = pem(ec('P-256').publicKey);
  const two = pem(ec('P-256').publicKey);

  it('holds the keys of all its sources, each once', () => {
    const ring = new KeyRing({ where: 'x', paths: [file('a.pub', one + two), file('b.pub', one)], text: two });
    expect(ring.size).toBe(2);
  });

  it.each([
    ['is not there', () => '/nope.pub', /--x: cannot use "\/nope\.pub": no such file/],
    ['holds no key', () => file('c.pub', 'hello'), /c\.pub": it holds no PEM text, expected a public key in PEM text/],
    [
      'holds a private key',
      () => file('d.pub', ec('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
      /d\.pub": it holds a private key, expected a public key .*cosign public-key/,
    ],
    ['is huge', () => file('e.pub', 'x'.repeat(300_000)), /it has 300000 bytes, more than a key file has/],
    ['is an empty folder', () => mkdtempSync(join(folder, 'empty-')), /no file in ".*" holds a public key/],
  ])('refuses a path that %s', (_name, path, message) => {
    expect(() => new KeyRing({ where: '--x', paths: [path()] })).toThrow(message);
  });

  it('tells when it changed, and keeps what it has when it cannot be read', () => {
    const path = file('f.pub', one);
    const ring = new KeyRing({ where: 'x', paths: [path] });
    const reload = () => ring.sources.map((source) => source.reload());
    const [before] = [...ring.keys];
    const same = [{ changed: false, problem: undefined }];
    expect(reload()).toEqual(same);
    writeFileSync(path, `# a comment\n${one}`);
    expect(reload()).toEqual(same);
    writeFileSync(path, two);
    expect(reload()).toEqual([{ changed: true, problem: undefined }]);
    expect(ring.has(before!.fingerprint)).toBe(false);
    rmSync(path);
    expect(reload()).toEqual([{ changed: false, problem: expect.stringMatching(/f\.pub.*no such file/) }]);
    expect(ring.size).toBe(1);
  });

  it.each([50, 100, 150, 250, 300])('takes a file that is cut at byte %d for broken, not for revoked', (length) => {
    const path = file('g.pub', one + two);
    const ring = new KeyRing({ where: 'x', paths: [path] });
    writeFileSync(path, (one + two).slice(0, length));
    expect(ring.sources[0]?.reload()).toEqual({ changed: false, problem: expect.stringMatching(/g\.pub/) });
    expect(ring.size).toBe(2);
  });

  it('keeps the keys of a folder that is unmounted, and drops those of one that is emptied', () => {
    const path = mkdtempSync(join(folder, 'mounted-'));
    writeFileSync(join(path, 'a.pub'), one);
    const ring = new KeyRing({ where: 'x', paths: [path], text: two });
    rmSync(path, { recursive: true });
    expect(ring.sources[0]?.reload()).toEqual({ changed: false, problem: expect.stringMatching(/no such file/) });
    expect(ring.size).toBe(2);
    mkdirSync(path);
    expect(ring.sources[0]?.reload()).toEqual({ changed: true, problem: undefined });
    expect(ring.size).toBe(1);
  });
});
