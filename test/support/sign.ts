import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { type FakeRegistry, INDEX, MANIFEST, sha256 } from './fake-registry.js';

/** A key pair as cosign would use it, and the name under which OtaFlux reports it. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly pem: string;
  readonly name: string;
}

export function newKey(namedCurve = 'P-256'): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return {
    privateKey,
    pem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    name: `key sha256:${createHash('sha256').update(der).digest('hex')}`,
  };
}

const EMPTY = Buffer.from('{}');
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(EMPTY), size: EMPTY.length };
export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** The payload of a legacy signature. */
export function payloadFor(digest: string, overrides: { type?: string; reference?: string } = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': overrides.reference ?? '' },
        image: { 'docker-manifest-digest': digest },
        type: overrides.type ?? 'cosign container image signature',
      },
      optional: null,
    }),
  );
}

/** A layer of a `.sig` manifest. */
export function legacyLayer(
  registry: FakeRegistry,
  name: string,
  payload: Buffer,
  signature: Buffer | string,
  more = {},
): object {
  return {
    mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
    digest: registry.putBlob(name, payload),
    size: payload.length,
    annotations: { 'dev.cosignproject.cosign/signature': Buffer.from(signature).toString('base64'), ...more },
  };
}

export const sigTag = (digest: string): string => `${digest.replace(':', '-')}.sig`;

/** Puts layers under the `.sig` tag of `digest`. */
export function putLegacy(registry: FakeRegistry, name: string, digest: string, layers: object[]): void {
  registry.putBlob(name, EMPTY);
  registry.putManifest(name, sigTag(digest), { schemaVersion: 2, mediaType: MANIFEST, config, layers });
}

/** Signs as cosign v2 does. */
export function signLegacy(
  registry: FakeRegistry,
  name: string,
  digest: string,
  key: SigningKey,
  reference?: string,
): void {
  const payload = payloadFor(digest, reference === undefined ? {} : { reference });
  putLegacy(registry, name, digest, [legacyLayer(registry, name, payload, sign('sha256', payload, key.privateKey))]);
}

export const statementFor = (...digests: string[]): object => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: digests.map((digest) => ({ digest: { sha256: digest.replace('sha256:', '') } })),
  predicateType: 'https://sigstore.dev/cosign/sign/v1',
  predicate: {},
});

export const pae = (type: string, payload: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);

/** A bundle of a DSSE envelope over `statement`, by `key`. */
export function dsseBundle(statement: object, key: SigningKey, payloadType = 'application/vnd.in-toto+json'): object {
  const payload = Buffer.from(JSON.stringify(statement));
  return {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: 'hint' } },
    dsseEnvelope: {
      payload: payload.toString('base64'),
      payloadType,
      signatures: [{ sig: sign('sha256', pae(payloadType, payload), key.privateKey).toString('base64') }],
    },
  };
}

/** A bundle that signs the manifest's own bytes. */
export function messageBundle(manifest: Buffer, key: SigningKey): object {
  return {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: 'hint' } },
    messageSignature: {
      messageDigest: { algorithm: 'SHA2_256', digest: createHash('sha256').update(manifest).digest('base64') },
      signature: sign('sha256', manifest, key.privateKey).toString('base64'),
    },
  };
}

/** Puts bundles beside `digest`, as referrers under the fallback tag. */
export function putBundles(registry: FakeRegistry, name: string, digest: string, bundles: (object | Buffer)[]): void {
  registry.putBlob(name, EMPTY);
  const manifests = bundles.map((bundle) => {
    const bytes = Buffer.isBuffer(bundle) ? bundle : Buffer.from(JSON.stringify(bundle));
    const referrer = registry.putManifest(name, undefined, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      artifactType: BUNDLE_TYPE,
      config,
      layers: [{ mediaType: BUNDLE_TYPE, digest: registry.putBlob(name, bytes), size: bytes.length }],
      subject: { mediaType: MANIFEST, digest, size: 1 },
    });
    const size = registry.repository(name).manifests.get(referrer)?.bytes.length;
    return { mediaType: MANIFEST, digest: referrer, size, artifactType: BUNDLE_TYPE };
  });
  registry.putManifest(name, digest.replace(':', '-'), { schemaVersion: 2, mediaType: INDEX, manifests }, INDEX);
}

/** Signs as cosign v3 does. */
export function signBundle(registry: FakeRegistry, name: string, digest: string, key: SigningKey): void {
  putBundles(registry, name, digest, [dsseBundle(statementFor(digest), key)]);
}
