import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { PrivateSigstore, type KeylessBundle } from '../support/private-sigstore.js';
import { legacyLayer, newKey, putBundles, putLegacy, signBundle } from '../support/sign.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const IDENTITY = 'https://github.com/acme/firmware/.github/workflows/release.yml@refs/heads/main';
const ISSUER = 'https://token.actions.githubusercontent.com';

describe('keyless signatures', () => {
  const registry = new FakeRegistry();
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-keyless-'));
  const root = join(folder, 'trusted_root.json');
  let sigstore: PrivateSigstore;
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    sigstore = await PrivateSigstore.create();
    writeFileSync(root, sigstore.trustedRoot);
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(folder, { recursive: true });
  });
  afterEach(async () => {
    registry.remove('fw');
    await service.stop();
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      SIGSTORE_TRUSTED_ROOT_PATH: root,
      COSIGN_CERTIFICATE_IDENTITY: IDENTITY,
      COSIGN_CERTIFICATE_OIDC_ISSUER: ISSUER,
      ...options,
    });
  };
  const push = (): string => registry.push('fw', '1.0.0', firmwareBytes(1000));
  const refusal = (): unknown => service.events('release.untrusted').at(-1)?.code;

  it('in a bundle are good, and tell who signed', async () => {
    const digest = push();
    putBundles(registry, 'fw', digest, [await sigstore.bundle(digest)]);
    await start();
    const response = await service.version('fw', { headers: { accept: 'application/json' } });
    expect(await response.json()).toMatchObject({ version: '1.0.0', signedBy: `${IDENTITY} (${ISSUER})` });
  });

  it('in the legacy form are good', async () => {
    const digest = push();
    const { payload, signature, annotations } = await sigstore.legacy(digest);
    putLegacy(registry, 'fw', digest, [legacyLayer(registry, 'fw', payload, signature, annotations)]);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('may be asked for by regular expressions', async () => {
    const digest = push();
    putBundles(registry, 'fw', digest, [await sigstore.bundle(digest)]);
    const byPattern = {
      COSIGN_CERTIFICATE_IDENTITY: '',
      COSIGN_CERTIFICATE_OIDC_ISSUER: '',
      COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP: '^https://token\\.actions\\.',
    };
    await start({ ...byPattern, COSIGN_CERTIFICATE_IDENTITY_REGEXP: '^https://github\\.com/acme/' });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await service.stop();
    await start({ ...byPattern, COSIGN_CERTIFICATE_IDENTITY_REGEXP: '^https://github\\.com/evil/' });
    expect(await service.versionOf('fw')).toBe(404);
    expect(refusal()).toBe('wrong-identity');
  });

  const refused: [string, string, (digest: string) => Promise<KeylessBundle>][] = [
    [
      'another identity',
      'wrong-identity',
      (digest) => sigstore.bundle(digest, { identity: 'https://github.com/evil/x' }),
    ],
    [
      'an identity that begins like ours',
      'wrong-identity',
      (digest) => sigstore.bundle(digest, { identity: `${IDENTITY}x` }),
    ],
    ['another issuer', 'wrong-issuer', (digest) => sigstore.bundle(digest, { issuer: 'https://accounts.google.com' })],
    ['a certificate that had expired', 'expired', (digest) => sigstore.bundle(digest, { log: 'later' })],
    ['no log entry', 'not-in-log', (digest) => sigstore.bundle(digest, { log: 'none' })],
    ['a log entry of an unknown log', 'bad-log-entry', (digest) => sigstore.bundle(digest, { log: 'other-log' })],
    [
      'a certificate of another authority',
      'bad-certificate',
      async (digest) => (await PrivateSigstore.create()).bundle(digest),
    ],
    [
      'a forged inclusion proof',
      'bad-log-entry',
      async (digest) => {
        const bundle = await sigstore.bundle(digest);
        bundle.verificationMaterial.tlogEntries[0]!.inclusionProof.hashes = [Buffer.alloc(32, 7).toString('base64')];
        return bundle;
      },
    ],
    [
      'a forged checkpoint',
      'bad-log-entry',
      async (digest) => {
        const bundle = await sigstore.bundle(digest);
        const { checkpoint } = bundle.verificationMaterial.tlogEntries[0]!.inclusionProof;
        checkpoint.envelope = checkpoint.envelope.replace(/\n1\n/, '\n2\n');
        return bundle;
      },
    ],
    [
      "another entry's inclusion proof",
      'bad-log-entry',
      async (digest) => {
        const [bundle, foreign] = [await sigstore.bundle(digest), await sigstore.bundle(`sha256:${'0'.repeat(64)}`)];
        bundle.verificationMaterial.tlogEntries = foreign.verificationMaterial.tlogEntries;
        return bundle;
      },
    ],
    [
      'a forged promise of the log',
      'bad-log-entry',
      async (digest) => {
        const bundle = await sigstore.bundle(digest);
        bundle.verificationMaterial.tlogEntries[0]!.inclusionPromise.signedEntryTimestamp = 'AAAA';
        return bundle;
      },
    ],
    ['a good signature of something else', 'wrong-subject', () => sigstore.bundle(`sha256:${'0'.repeat(64)}`)],
    [
      'a certificate that is none',
      'malformed',
      async (digest) => {
        const bundle = await sigstore.bundle(digest);
        bundle.verificationMaterial.certificate.rawBytes = 'AAAA';
        return bundle;
      },
    ],
    [
      'the certificate of another signature',
      'bad-log-entry',
      async (digest) => {
        const [bundle, foreign] = [await sigstore.bundle(digest), await sigstore.bundle(digest)];
        bundle.dsseEnvelope = foreign.dsseEnvelope;
        return bundle;
      },
    ],
  ];

  it.each(refused)('with %s are refused as %s', async (_name, code, bundle) => {
    const digest = push();
    putBundles(registry, 'fw', digest, [await bundle(digest)]);
    await start();
    expect(await service.versionOf('fw')).toBe(404);
    expect({ code: refusal(), reason: service.events('release.untrusted').at(-1)?.reason }).toMatchObject({ code });
  });

  it('are asked for by a policy, device by device', async () => {
    const digest = push();
    putBundles(registry, 'fw', digest, [await sigstore.bundle(digest)]);
    const none = { COSIGN_CERTIFICATE_IDENTITY: '', COSIGN_CERTIFICATE_OIDC_ISSUER: '' };
    const policy = (pattern: string): string =>
      JSON.stringify([{ match: 'f*', 'identity-regexp': pattern, issuer: ISSUER }]);
    await start({ ...none, SIGNATURE_POLICY: policy('^https://github\\.com/acme/') });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await service.stop();
    await start({ ...none, SIGNATURE_POLICY: policy('^https://github\\.com/evil/') });
    expect(await service.versionOf('fw')).toBe(404);
    expect(refusal()).toBe('wrong-identity');
  });

  it('are not replaced by a key, nor a key by them', async () => {
    const key = newKey();
    const digest = push();
    signBundle(registry, 'fw', digest, key);
    await start();
    expect(await service.versionOf('fw')).toBe(404);
    expect(refusal()).toBe('key-mismatch');
    await service.stop();
    putBundles(registry, 'fw', digest, [await sigstore.bundle(digest)]);
    const none = { COSIGN_CERTIFICATE_IDENTITY: '', COSIGN_CERTIFICATE_OIDC_ISSUER: '' };
    await start({ ...none, COSIGN_PUB_KEY: key.pem });
    expect(await service.versionOf('fw')).toBe(404);
    expect(refusal()).toBe('key-mismatch');
    await service.stop();
    await start({ COSIGN_PUB_KEY: key.pem });
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('of a private deployment may do without the log: by a timestamp, or while the certificate is valid', async () => {
    const digest = push();
    await start({ COSIGN_INSECURE_IGNORE_TLOG: 'true' });
    for (const options of [{ timestamp: true }, { timestamp: false }, { timestamp: true, log: 'none' as const }]) {
      putBundles(registry, 'fw', digest, [await sigstore.bundle(digest, { log: 'other-log', ...options })]);
      await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the release');
      await service.stop();
      await start({ COSIGN_INSECURE_IGNORE_TLOG: 'true' });
    }
  });

  it('of a private deployment may do without certificate transparency', async () => {
    const own = await PrivateSigstore.create({ ctlog: false });
    const ownRoot = join(folder, 'own_root.json');
    writeFileSync(ownRoot, own.trustedRoot);
    const digest = push();
    putBundles(registry, 'fw', digest, [await own.bundle(digest)]);
    await start({ SIGSTORE_TRUSTED_ROOT_PATH: ownRoot });
    expect(await service.versionOf('fw')).toBe(404);
    expect(refusal()).toBe('bad-certificate');
    await service.stop();
    await start({ SIGSTORE_TRUSTED_ROOT_PATH: ownRoot, COSIGN_INSECURE_IGNORE_SCT: 'true' });
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('are judged again when the trusted root is replaced', async () => {
    const digest = push();
    putBundles(registry, 'fw', digest, [await sigstore.bundle(digest)]);
    const replaced = join(folder, 'replaced_root.json');
    writeFileSync(replaced, sigstore.trustedRoot);
    await start({ SIGSTORE_TRUSTED_ROOT_PATH: replaced, REFRESH_INTERVAL: '1h' });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    writeFileSync(replaced, (await PrivateSigstore.create()).trustedRoot);
    await until(async () => (await service.versionOf('fw')) === 404, 'the release to be distrusted');
  });

  it('without a trusted root are neither good nor bad: 503, and the log says why', async () => {
    const { HTTPS_PROXY, https_proxy: lower } = process.env;
    process.env.HTTPS_PROXY = process.env.https_proxy = 'http://127.0.0.1:1';
    const digest = push();
    putBundles(registry, 'fw', digest, [await sigstore.bundle(digest)]);
    await start({ SIGSTORE_TRUSTED_ROOT_PATH: '', SIGSTORE_CACHE_DIR: join(folder, 'tuf'), REGISTRY_TIMEOUT: '1s' });
    expect(await service.versionOf('fw')).toBe(503);
    expect(service.events('refresh.failed')[0]?.reason).toMatch(/the trusted root of Sigstore cannot be fetched/);
    Object.assign(process.env, { HTTPS_PROXY: HTTPS_PROXY ?? '', https_proxy: lower ?? '' });
  });

  it('need a trusted root that can be read', async () => {
    await start();
    await expect(
      TestService.start({
        REGISTRY_URL: registry.url,
        COSIGN_CERTIFICATE_IDENTITY: 'x',
        COSIGN_CERTIFICATE_OIDC_ISSUER: 'y',
        SIGSTORE_TRUSTED_ROOT_PATH: '/nope',
      }),
    ).rejects.toThrow(/--sigstore-trusted-root-path: cannot use "\/nope"/);
    await expect(TestService.start({ REGISTRY_URL: registry.url, COSIGN_CERTIFICATE_IDENTITY: 'x' })).rejects.toThrow(
      /COSIGN_CERTIFICATE_OIDC_ISSUER.*is missing, expected an issuer/,
    );
  });
});
