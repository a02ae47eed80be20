import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sign } from 'node:crypto';
import { gather, parseSettings } from '../../src/config/index.js';
import type { Descriptor, Digest } from '../../src/oci/index.js';
import { createRegistry } from '../../src/registry/index.js';
import { createVerifier, type SignatureVerifier } from '../../src/signature/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry, MANIFEST, sha256 } from '../support/fake-registry.js';
import {
  dsseBundle,
  legacyLayer,
  newKey,
  payloadFor,
  putBundles,
  putLegacy,
  signBundle,
  statementFor,
} from '../support/sign.js';

const key = newKey();
const never = new AbortController().signal;

/** `bytes` as often as it has bytes, each time with one bit flipped in another one. */
function* flips(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 7));
    yield flipped;
  }
}

/** An attacker with write access stores changed bytes under the digests that they have then: the registry is honest. */
describe('with any one byte changed and everything stored as it should be', () => {
  const registry = new FakeRegistry();
  let verifier: SignatureVerifier;
  let digest: Digest;

  beforeAll(async () => {
    await registry.start();
    const environment = { REGISTRY_URL: registry.url, COSIGN_PUB_KEY: key.pem };
    const settings = parseSettings(await gather({ flags: {}, environment }));
    verifier = await createVerifier(settings, await createRegistry(settings), undefined);
  });
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.remove('fw');
    digest = registry.push('fw', '1.0.0', firmwareBytes(100)) as Digest;
    registry.seen.length = 0;
  });

  const isTrusted = async (manifest = digest): Promise<boolean> => {
    const size = registry.repository('fw').manifests.get(manifest)?.bytes.length ?? 0;
    const descriptor: Descriptor = { mediaType: MANIFEST, digest: manifest, size };
    return (await verifier.verify('fw', descriptor, never)).trusted;
  };

  it('a manifest is not trusted', async () => {
    signBundle(registry, 'fw', digest, key);
    expect(await isTrusted()).toBe(true);
    for (const flipped of flips(registry.repository('fw').manifests.get(digest)!.bytes)) {
      const changed = registry.repository('fw');
      const other = sha256(flipped) as Digest;
      changed.manifests.set(other, { mediaType: MANIFEST, bytes: flipped });
      // The attacker points our signatures at it, too.
      putBundles(registry, 'fw', other, [dsseBundle(statementFor(digest), key)]);
      expect(await isTrusted(other)).toBe(false);
    }
  });

  it('a legacy payload is not trusted', async () => {
    const payload = payloadFor(digest);
    const signature = sign('sha256', payload, key.privateKey);
    putLegacy(registry, 'fw', digest, [legacyLayer(registry, 'fw', payload, signature)]);
    expect(await isTrusted()).toBe(true);
    for (const flipped of flips(payload)) {
      putLegacy(registry, 'fw', digest, [legacyLayer(registry, 'fw', flipped, signature)]);
      expect(await isTrusted()).toBe(false);
    }
  });

  it('a signature manifest of something else is not trusted', async () => {
    const payload = payloadFor(`sha256:${'0'.repeat(64)}`);
    putLegacy(registry, 'fw', digest, [legacyLayer(registry, 'fw', payload, sign('sha256', payload, key.privateKey))]);
    const { tags, manifests } = registry.repository('fw');
    const tag = `${digest.replace(':', '-')}.sig`;
    for (const flipped of flips(manifests.get(tags.get(tag)!)!.bytes)) {
      manifests.set(sha256(flipped), { mediaType: MANIFEST, bytes: flipped });
      tags.set(tag, sha256(flipped));
      expect(await isTrusted()).toBe(false);
    }
  });

  it('a signature is not trusted', async () => {
    const payload = payloadFor(digest);
    for (const flipped of flips(sign('sha256', payload, key.privateKey))) {
      putLegacy(registry, 'fw', digest, [legacyLayer(registry, 'fw', payload, flipped)]);
      expect(await isTrusted()).toBe(false);
    }
  });

  it('a bundle is not trusted, unless it still says and signs the very same', async () => {
    const bundle = dsseBundle(statementFor(digest), key);
    putBundles(registry, 'fw', digest, [bundle]);
    expect(await isTrusted()).toBe(true);
    let trusted = 0;
    for (const flipped of flips(Buffer.from(JSON.stringify(bundle)))) {
      putBundles(registry, 'fw', digest, [flipped]);
      if (!(await isTrusted())) continue;
      trusted++;
      expect(signedPart(JSON.parse(flipped.toString()))).toEqual(signedPart(bundle));
    }
    // Where the change is in a part that is not signed, such as the hint at the key.
    expect(trusted).toBeLessThan(100);
  });
});

/** What is signed, and the signature, as bytes: base64 has more than one way to write some. */
function signedPart(bundle: unknown): unknown {
  const { dsseEnvelope: envelope } = bundle as {
    dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] };
  };
  return [
    Buffer.from(envelope.payload, 'base64'),
    envelope.payloadType,
    Buffer.from(envelope.signatures[0]!.sig, 'base64'),
  ];
}
