import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sign } from 'node:crypto';
import { mkdtempSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReleaseService } from '../../src/firmware/index.js';
import { firmwareBytes, versionBody } from '../support/bytes.js';
import { amount } from '../support/extent.js';
import { FakeRegistry, INDEX, MANIFEST } from '../support/fake-registry.js';
import { fixture, FIXTURES } from '../support/fixture.js';
import {
  dsseBundle,
  legacyLayer,
  messageBundle,
  newKey,
  payloadFor,
  putBundles,
  putLegacy,
  signBundle,
  signLegacy,
  statementFor,
} from '../support/sign.js';
import { PrivateSigstore } from '../support/private-sigstore.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const IDENTITY = 'https://github.com/acme/firmware/.github/workflows/release.yml@refs/heads/main';
const ISSUER = 'https://token.actions.githubusercontent.com';

const firmware = firmwareBytes(50_000);
const other = firmwareBytes(60_000, 'other');
const ours = newKey();
const theirs = newKey();

describe('the fixtures, with the key that signed some of them', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await TestService.start({
      REGISTRY_URL: `oci:${fixture('layouts')}`,
      COSIGN_PUB_KEY_PATH: fixture('keys/cosign.pub'),
    });
  });
  afterAll(() => service.stop());

  it.each(FIXTURES)('$device', async ({ device, version }) => {
    const trusted = device === 'signed-bundle' || device === 'signed-legacy';
    expect(await service.versionOf(device)).toBe(trusted ? version : 404);
    expect((await service.firmware(device)).status).toBe(trusted ? 200 : 404);
    expect((await service.firmware(`${device}&version=1.0.0`)).status).toBe(trusted ? 200 : 404);
  });

  it('says why it refused the others, and counts', async () => {
    const codes = Object.fromEntries(
      service.events('release.untrusted').map(({ artifact, code }) => [String(artifact).split('@')[0], code]),
    );
    expect(codes).toMatchObject({
      unsigned: 'no-signature',
      'wrong-key-legacy': 'key-mismatch',
      'wrong-key-bundle': 'key-mismatch',
      'replayed-legacy': 'wrong-subject',
    });
    const metrics = await service.metrics();
    expect(metrics).toContain('otaflux_signature_verifications_total{result="trusted",form="bundle"} 1');
    expect(metrics).toContain('otaflux_signature_keys 1');
  });
});

describe('with a key', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  afterEach(async () => {
    registry.fault = () => false;
    registry.seen.length = 0;
    registry.remove('fw');
    await service.stop();
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      COSIGN_PUB_KEY: ours.pem,
      ...options,
    });
  };
  const bytes = async (): Promise<Buffer> => Buffer.from(await (await service.firmware('fw')).arrayBuffer());
  const refusal = (): unknown => service.events('release.untrusted').at(-1)?.code;

  it.each([
    ['a bundle', signBundle],
    ['a legacy signature', signLegacy],
  ])('serves what %s covers, and tells who signed it', async (_name, signWith) => {
    const digest = registry.push('fw', '1.0.0', firmware);
    signWith(registry, 'fw', digest, ours);
    await start();
    const json = await (await service.version('fw', { headers: { accept: 'application/json' } })).json();
    expect(json).toMatchObject({ version: '1.0.0', manifest: digest, signedBy: ours.name });
  });

  it('serves what a bundle over the bytes of the manifest covers', async () => {
    const digest = registry.push('fw', '1.0.0', firmware);
    const manifest = registry.repository('fw').manifests.get(digest)?.bytes ?? Buffer.alloc(0);
    putBundles(registry, 'fw', digest, [messageBundle(manifest, ours)]);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('takes any of several keys', async () => {
    signBundle(registry, 'fw', registry.push('fw', '1.0.0', firmware), theirs);
    await start({ COSIGN_PUB_KEY: ours.pem + theirs.pem });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(await service.metrics()).toContain('otaflux_signature_keys 2');
  });

  it('passes over what is not signed: devices keep the last good release between push and sign', async () => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    const digest = registry.push('fw', '1.1.0', other);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect((await bytes()).equals(firmware)).toBe(true);
    expect(await service.metrics()).toContain('otaflux_unverified_newest 1');
    await service.versionOf('fw');
    expect(service.events('release.untrusted')).toHaveLength(1);
    signBundle(registry, 'fw', digest, ours);
    expect(await service.versionOf('fw')).toBe('1.1.0');
    expect(await service.metrics()).toContain('otaflux_unverified_newest 0');
  });

  it('keeps the last good release when its tag is moved to what is not signed', async () => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    signLegacy(registry, 'fw', registry.push('fw', '1.1.0', other), ours);
    await start();
    expect(await service.versionOf('fw')).toBe('1.1.0');
    registry.push('fw', '1.1.0', firmwareBytes(1000, 'evil'));
    expect(await (await service.version('fw')).text()).toBe(versionBody('1.1.0', other));
  });

  const cases: [string, (digest: string) => void, string][] = [
    ['no signature', () => undefined, 'no-signature'],
    [
      'the signature of another key',
      (digest) => {
        signLegacy(registry, 'fw', digest, theirs);
      },
      'key-mismatch',
    ],
    [
      'the bundle of another key',
      (digest) => {
        signBundle(registry, 'fw', digest, theirs);
      },
      'key-mismatch',
    ],
    [
      "another artifact's signature",
      (digest) => {
        const payload = payloadFor(registry.push('fw', 'dev', other));
        putLegacy(registry, 'fw', digest, [
          legacyLayer(registry, 'fw', payload, sign('sha256', payload, ours.privateKey)),
        ]);
      },
      'wrong-subject',
    ],
    [
      "another artifact's bundle",
      (digest) => {
        putBundles(registry, 'fw', digest, [dsseBundle(statementFor(registry.push('fw', 'dev', other)), ours)]);
      },
      'wrong-subject',
    ],
    [
      'a statement about something else',
      (digest) => {
        putBundles(registry, 'fw', digest, [
          dsseBundle({ ...statementFor(digest), predicateType: 'https://slsa.dev/provenance/v1' }, ours),
        ]);
      },
      'wrong-predicate',
    ],
    [
      'a payload of another type',
      (digest) => {
        const payload = payloadFor(digest, { type: 'atomic container signature' });
        putLegacy(registry, 'fw', digest, [
          legacyLayer(registry, 'fw', payload, sign('sha256', payload, ours.privateKey)),
        ]);
      },
      'wrong-predicate',
    ],
    [
      'an envelope of another type',
      (digest) => {
        putBundles(registry, 'fw', digest, [dsseBundle(statementFor(digest), ours, 'text/plain')]);
      },
      'malformed',
    ],
    [
      'a bundle that is not JSON',
      (digest) => {
        putBundles(registry, 'fw', digest, [Buffer.from('{')]);
      },
      'malformed',
    ],
    [
      'a bundle of nothing',
      (digest) => {
        putBundles(registry, 'fw', digest, [{}]);
      },
      'malformed',
    ],
    [
      'a bundle of 50 MB',
      (digest) => {
        putBundles(registry, 'fw', digest, [Buffer.alloc(50_000_000, 0x20)]);
      },
      'malformed',
    ],
    [
      'a payload that is not JSON',
      (digest) => {
        putLegacy(registry, 'fw', digest, [
          legacyLayer(registry, 'fw', Buffer.from('x'), sign('sha256', Buffer.from('x'), ours.privateKey)),
        ]);
      },
      'malformed',
    ],
    [
      'a .sig tag that is an index',
      (digest) => {
        registry.putManifest(
          'fw',
          `${digest.replace(':', '-')}.sig`,
          { schemaVersion: 2, mediaType: INDEX, manifests: [] },
          INDEX,
        );
      },
      'malformed',
    ],
    [
      'a signature without its annotation',
      (digest) => {
        putLegacy(registry, 'fw', digest, [
          { ...legacyLayer(registry, 'fw', payloadFor(digest), ''), annotations: {} },
        ]);
      },
      'malformed',
    ],
  ];

  it.each(cases)('does not serve what has %s', async (_name, prepare, code) => {
    prepare(registry.push('fw', '1.0.0', firmware));
    await start();
    expect(await service.versionOf('fw')).toBe(404);
    expect((await service.firmware('fw')).status).toBe(404);
    expect(refusal()).toBe(code);
  });

  it('does not take the signature of another repository for its own, where references are demanded', async () => {
    const digest = registry.push('fw', '1.0.0', firmware);
    signLegacy(registry, 'fw', digest, ours, `${registry.host}/elsewhere`);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await service.stop();
    await start({ COSIGN_MATCH_REFERENCE: 'true' });
    expect(await service.versionOf('fw')).toBe(404);
    expect(refusal()).toBe('wrong-reference');
    signLegacy(registry, 'fw', digest, ours, `${registry.host}/fw`);
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the registry to be asked again');
  });

  it('does not serve an old signed manifest under a newer tag, where manifests state their version', async () => {
    const stating = (tag: string, version: string, image: Buffer): string =>
      registry.push('fw', tag, image, 'application/octet-stream', null, {
        'org.opencontainers.image.version': version,
      });
    const old = stating('1.0.0', '1.0.0', firmware);
    signBundle(registry, 'fw', old, ours);
    signBundle(registry, 'fw', stating('v1.1.0_build.2', '1.1.0+build.2', other), ours);
    await start();
    expect(await service.versionOf('fw')).toBe('1.1.0+build.2');
    registry.repository('fw').tags.set('9.9.9', old);
    expect(await service.versionOf('fw')).toBe('1.1.0+build.2');
    expect(refusal()).toBe('wrong-version');
    await service.stop();
    signBundle(registry, 'fw', registry.push('fw', '2.0.0', firmwareBytes(500)), ours);
    await start({ SIGNED_VERSION: 'require' });
    expect(await service.versionOf('fw')).toBe('1.1.0+build.2');
    await service.stop();
    await start({ SIGNED_VERSION: 'ignore' });
    expect(await service.versionOf('fw')).toBe('9.9.9');
  });

  it('takes the good one of two signatures, and of a statement about two artifacts each', async () => {
    const digest = registry.push('fw', '1.0.0', firmware);
    putBundles(registry, 'fw', digest, [
      dsseBundle(statementFor(digest), ours),
      dsseBundle(statementFor(digest), theirs),
    ]);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    const second = registry.push('fw', '1.1.0', other);
    putBundles(registry, 'fw', second, [dsseBundle(statementFor(digest, second), ours)]);
    expect(await service.versionOf('fw')).toBe('1.1.0');
  });

  it('looks at the newest hundred of a thousand signatures, and says so', async () => {
    const digest = registry.push('fw', '1.0.0', firmware);
    const payload = payloadFor(digest);
    const bad = Array.from({ length: 999 }, (_value, i) => legacyLayer(registry, 'fw', payload, `bad ${i}`));
    const good = legacyLayer(registry, 'fw', payload, sign('sha256', payload, ours.privateKey));
    putLegacy(registry, 'fw', digest, [...bad, good]);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    putLegacy(registry, 'fw', registry.push('fw', '1.1.0', other), [good, ...bad]);
    registry.seen.length = 0;
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(registry.seen.length).toBeLessThan(20);
    expect(service.events('release.untrusted').at(-1)?.reason).toMatch(/best of 101 signatures/);
  });

  describe('and an image index', () => {
    const pushIndex = (tag: string, image: Buffer): { index: string; child: string } => {
      const child = registry.push('fw', 'child', image);
      registry.repository('fw').tags.delete('child');
      const size = registry.repository('fw').manifests.get(child)?.bytes.length;
      const body = { schemaVersion: 2, mediaType: INDEX, manifests: [{ mediaType: MANIFEST, digest: child, size }] };
      return { child, index: registry.putManifest('fw', tag, body, INDEX) };
    };

    it('takes a signature on the index, or on the child alone', async () => {
      signBundle(registry, 'fw', pushIndex('1.0.0', firmware).index, ours);
      await start();
      expect(await service.versionOf('fw')).toBe('1.0.0');
      signLegacy(registry, 'fw', pushIndex('1.1.0', other).child, ours);
      expect(await service.versionOf('fw')).toBe('1.1.0');
    });

    it.each([
      ['index', 200],
      ['child', 404],
    ] as const)('signed on the %s: a file of another child gets %d', async (signed, status) => {
      const push = (title: string, image: Buffer): { mediaType: string; digest: string; size: number } =>
        registry.pushFiles('fw', undefined, { [title]: image });
      const children = [push('app.bin', firmware), push('foreign.bin', other)];
      const annotations = { 'vnd.otaflux.chip-family': 'ESP32' };
      const body = { schemaVersion: 2, mediaType: INDEX, manifests: children, annotations };
      const index = registry.putManifest('fw', '1.0.0', body, INDEX);
      signBundle(registry, 'fw', signed === 'index' ? index : children[0]!.digest, ours);
      await start();
      expect(await service.versionOf('fw')).toBe('1.0.0');
      expect((await service.firmware('fw&file=foreign.bin')).status).toBe(status);
      expect((await service.firmware('fw&file=app.bin')).status).toBe(200);
      const { annotations: kept } = await service.service.app.get(ReleaseService, { strict: false }).current('fw');
      expect(kept).toEqual(signed === 'index' ? annotations : {});
    });

    it('does not take the signature on an index for a child that it does not name', async () => {
      const { index } = pushIndex('1.0.0', firmware);
      const foreign = pushIndex('2.0.0', other);
      putBundles(registry, 'fw', foreign.child, [dsseBundle(statementFor(index), ours)]);
      putBundles(registry, 'fw', foreign.index, [dsseBundle(statementFor(index), ours)]);
      await start();
      expect(await service.versionOf('fw')).toBe(404);
    });
  });

  it('serves the bytes of the digest that was verified, though the tag moves meanwhile', async () => {
    const digest = registry.push('fw', '1.0.0', firmware);
    signBundle(registry, 'fw', digest, ours);
    registry.fault = (_request, _response, kind) => {
      // As soon as the signature is read, the tag names something else.
      if (kind === 'blob') registry.push('fw', '1.0.0', other);
      return false;
    };
    await start({ REFRESH_INTERVAL: '1h' });
    expect(await (await service.version('fw')).text()).toBe(versionBody('1.0.0', firmware));
    expect((await bytes()).equals(firmware)).toBe(true);
  });

  it('whose signatures cannot be reached: the last good release is served on, an unknown device gets 503', async () => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    await start({ REGISTRY_TIMEOUT: '1300ms' });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    signLegacy(registry, 'fw', registry.push('fw', '1.1.0', other), ours);
    registry.fault = (request, response) => {
      if (!request.url?.includes('sha256-')) return false;
      response.destroy();
      return true;
    };
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await service.stop();
    await start({ REGISTRY_TIMEOUT: '1300ms' });
    expect(await service.versionOf('fw')).toBe(503);
  });

  it('10,000 unsigned versions cost 20 looks a refresh, and do not take the release away', async () => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    for (let patch = 0; patch < 10_000; patch++)
      registry.repository('fw').tags.set(`2.0.${patch}`, registry.push('fw', 'x', Buffer.from(String(patch % 50))));
    registry.seen.length = 0;
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(registry.count('manifest', 'HEAD')).toBeLessThanOrEqual(41);
    expect(registry.count('blob')).toBe(0);
    expect(service.events('release.search_stopped')).toMatchObject([{ passedOver: 20, newest: '2.0.9999' }]);
  });

  it('in a registry that hands out changed bytes is never served wrongly', async () => {
    const digest = registry.push('fw', '1.0.0', firmware);
    signBundle(registry, 'fw', digest, ours);
    const { manifests, blobs } = registry.repository('fw');
    const stored = [...[...manifests.values()].map(({ bytes: all }) => all), ...blobs.values()].filter(
      ({ length }) => length > 2,
    );
    await start();
    for (const target of stored) {
      const step = Math.ceil(target.length / amount(3, 12));
      for (let at = 0; at < target.length; at += step) {
        target[at] = (target[at] ?? 0) ^ 1;
        const response = await service.firmware('fw');
        const received = Buffer.from(await response.arrayBuffer());
        if (response.status === 200) expect(received.equals(firmware)).toBe(true);
        target[at] = (target[at] ?? 0) ^ 1;
        await service.stop();
        await start();
      }
    }
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });
});

describe('keys in files', () => {
  const registry = new FakeRegistry();
  let folder: string;
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-keys-'));
    registry.remove('fw');
  });
  afterEach(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  /** Mounts files as Kubernetes mounts a Secret: links to a folder that is swapped in one step. */
  const mount = (generation: string, files: Record<string, string>): void => {
    mkdirSync(join(folder, `..${generation}`));
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(folder, `..${generation}`, name), content);
      rmSync(join(folder, name), { force: true });
      symlinkSync(join('..data', name), join(folder, name));
    }
    symlinkSync(`..${generation}`, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  };
  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REGISTRY_TIMEOUT: '1300ms',
      REFRESH_INTERVAL: '1h',
      COSIGN_PUB_KEY_PATH: folder,
      ...options,
    });
  };

  it('of a mounted Secret are read again: a release of a removed key stops being told within seconds', async () => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), theirs);
    signLegacy(registry, 'fw', registry.push('fw', '1.1.0', other), ours);
    mount('1', { 'ours.pub': ours.pem, 'theirs.pub': theirs.pem, 'cosign.key': 'no public key' });
    await start();
    expect(await service.versionOf('fw')).toBe('1.1.0');
    expect((await service.firmware('fw&version=1.1.0')).status).toBe(200);
    mount('2', { 'ours.pub': theirs.pem, 'theirs.pub': theirs.pem });
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the release of the other key');
    expect((await service.firmware('fw&version=1.1.0')).status).toBe(404);
    expect(service.events('release.distrusted')).toMatchObject([{ device: 'fw', version: '1.1.0' }]);
    mount('3', { 'ours.pub': ours.pem, 'theirs.pub': theirs.pem });
    await until(async () => (await service.versionOf('fw')) === '1.1.0', 'the key to be trusted again');
    mount('4', { note: 'all keys are revoked' });
    await until(async () => (await service.versionOf('fw')) === 404, 'nothing to be trusted');
  });

  it('that are removed while the registry is away take their releases with them, too', async () => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    writeFileSync(join(folder, 'a.pub'), ours.pem);
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    registry.fault = (_request, response) => (response.destroy(), true);
    writeFileSync(join(folder, 'a.pub'), theirs.pem);
    await until(async () => (await service.versionOf('fw')) !== '1.0.0', 'the release to be forgotten');
    expect(await service.versionOf('fw')).toBe(503);
    registry.fault = () => false;
  });

  it('that are removed while a refresh is under way are not trusted by its answer', async () => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    writeFileSync(join(folder, 'a.pub'), ours.pem);
    await start({ REGISTRY_TIMEOUT: '20s' });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    const held: (() => void)[] = [];
    registry.fault = (request, response) => {
      if (request.method !== 'HEAD' || held.length > 0) return false;
      const digest = registry.repository('fw').tags.get('1.0.0') ?? '';
      const { mediaType, bytes } = registry.repository('fw').manifests.get(digest)!;
      held.push(() => {
        response.writeHead(200, {
          'Content-Type': mediaType,
          'Content-Length': bytes.length,
          'Docker-Content-Digest': digest,
        });
        response.end();
      });
      return true;
    };
    await service.api.post('/webhooks/generic').send({ repository: 'fw' }).expect(200);
    await until(() => held.length === 1, 'the refresh to be under way');
    writeFileSync(join(folder, 'a.pub'), theirs.pem);
    await until(() => service.events('release.distrusted').length === 1, 'the key to be gone');
    held[0]?.();
    await until(
      () => service.events('release.untrusted').length > 0 || service.events('release.changed').length > 1,
      'its answer',
    );
    expect(await service.versionOf('fw')).toBe(404);
    expect(service.events('release.changed')).toHaveLength(1);
    registry.fault = () => false;
  });

  it('that cannot be read any more leave the old ones in force, and say so', async () => {
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    writeFileSync(join(folder, 'a.pub'), ours.pem);
    await start({ REFRESH_INTERVAL: '0' });
    writeFileSync(join(folder, 'a.pub'), 'gone');
    await until(() => service.events('signature.keys_failed').length === 1, 'the failure to be told');
    const source = `--cosign-pub-key-path ${folder}`;
    expect(service.events('signature.keys_failed')).toMatchObject([
      { source, reason: expect.stringMatching(/a\.pub": it holds no PEM text, expected a public key/) },
    ]);
    expect(await service.metrics()).toContain(`otaflux_signature_keys_readable{source="${source}"} 0`);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    writeFileSync(join(folder, 'a.pub'), ours.pem + theirs.pem);
    await until(() => service.events('signature.keys_recovered').length === 1, 'the recovery');
    expect(service.events('signature.keys_recovered')).toMatchObject([{ source }]);
    expect(await service.metrics()).toMatch(
      /otaflux_signature_keys 2[\s\S]*otaflux_signature_keys_readable\{source="[^"]*"\} 1/,
    );
    writeFileSync(join(folder, 'a.pub'), 'gone again');
    await until(() => service.events('signature.keys_failed').length === 2, 'the second failure to be told');
    writeFileSync(join(folder, 'a.pub'), '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n');
    await until(() => service.events('signature.keys_failed').length === 3, 'another mistake to be told, too');
    writeFileSync(join(folder, 'a.pub'), ours.pem + theirs.pem);
    await until(() => service.events('signature.keys_recovered').length === 2, 'the recovery to the keys of before');
  });

  describe.each([
    ['before', ['broken', 'revoked']],
    ['behind', ['revoked', 'broken']],
  ])('one of which is broken, %s another whose key is revoked', (_where, order) => {
    const BROKEN: [string, (path: string) => void][] = [
      [
        'is removed',
        (path) => {
          rmSync(path);
        },
      ],
      [
        'holds no key',
        (path) => {
          writeFileSync(path, 'gone');
        },
      ],
      [
        'is cut',
        (path) => {
          writeFileSync(path, ours.pem.slice(0, 80));
        },
      ],
      [
        'is huge',
        (path) => {
          writeFileSync(path, ours.pem.padEnd(300_000, '\n'));
        },
      ],
      [
        'is of another type now',
        (path) => {
          rmSync(path);
          symlinkSync('loop.pub', join(path, '..', 'loop.pub'));
          symlinkSync('loop.pub', path);
        },
      ],
    ];
    const write = (): void => {
      writeFileSync(join(folder, 'broken.pub'), ours.pem);
      writeFileSync(join(folder, 'revoked.pub'), theirs.pem);
    };
    const paths = (): string[] => order.map((name) => join(folder, `${name}.pub`));
    const push = (): void => {
      signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
      signLegacy(registry, 'fw', registry.push('fw', '1.1.0', other), theirs);
    };

    it.each(BROKEN)('the file %s: in one option', async (_name, spoil) => {
      push();
      write();
      await start({ COSIGN_PUB_KEY_PATH: paths().join(',') });
      expect(await service.versionOf('fw')).toBe('1.1.0');
      spoil(join(folder, 'broken.pub'));
      writeFileSync(join(folder, 'revoked.pub'), newKey().pem);
      await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the revocation');
      expect(service.events('release.distrusted')).toMatchObject([{ device: 'fw', version: '1.1.0' }]);
      expect(service.events('signature.keys_changed')).toMatchObject([
        { source: `--cosign-pub-key-path ${join(folder, 'revoked.pub')}` },
      ]);
      const source = `--cosign-pub-key-path ${join(folder, 'broken.pub')}`;
      expect(service.events('signature.keys_failed')).toMatchObject([{ source }]);
      expect(await service.metrics()).toContain(`otaflux_signature_keys_readable{source="${source}"} 0`);
    });

    it('in the rules of a policy', async () => {
      signLegacy(registry, 'team-broken/fw', registry.push('team-broken/fw', '1.0.0', firmware), ours);
      signLegacy(registry, 'team-revoked/fw', registry.push('team-revoked/fw', '1.0.0', other), theirs);
      write();
      const policy = order.map((name) => ({ match: `team-${name}/**`, keys: join(folder, `${name}.pub`) }));
      await start({ COSIGN_PUB_KEY_PATH: '', SIGNATURE_POLICY: JSON.stringify(policy) });
      expect(await service.versionOf('team-broken/fw')).toBe('1.0.0');
      expect(await service.versionOf('team-revoked/fw')).toBe('1.0.0');
      writeFileSync(join(folder, 'broken.pub'), 'gone');
      await until(() => service.events('signature.keys_failed').length === 1, 'the failure');
      writeFileSync(join(folder, 'revoked.pub'), newKey().pem);
      await until(async () => (await service.versionOf('team-revoked/fw')) === 404, 'the revocation');
      expect(await service.versionOf('team-broken/fw')).toBe('1.0.0');
      const source = `--signature-policy: entry ${order.indexOf('broken') + 1} ${join(folder, 'broken.pub')}`;
      expect(service.events('signature.keys_failed')).toMatchObject([{ source }]);
      writeFileSync(join(folder, 'broken.pub'), ours.pem);
      await until(() => service.events('signature.keys_recovered').length === 1, 'the recovery');
      expect(service.events('signature.keys_recovered')).toMatchObject([{ source }]);
    });

    it('in one folder', async () => {
      push();
      for (const [i, name] of order.entries())
        writeFileSync(join(folder, `${i}-${name}.pub`), name === 'broken' ? ours.pem : theirs.pem);
      await start();
      expect(await service.versionOf('fw')).toBe('1.1.0');
      const [broken, revoked] = ['broken', 'revoked'].map((name) => join(folder, `${order.indexOf(name)}-${name}.pub`));
      writeFileSync(broken ?? '', 'gone');
      await until(() => service.events('signature.keys_failed').length === 1, 'the failure');
      rmSync(revoked ?? '');
      await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the revocation');
      expect(service.events('signature.keys_failed')).toHaveLength(1);
    });
  });

  it('are revoked though the trusted root cannot be read, and the other way round', async () => {
    const sigstore = await PrivateSigstore.create();
    signLegacy(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    const keyless = registry.push('keyless', '1.0.0', other);
    putBundles(registry, 'keyless', keyless, [await sigstore.bundle(keyless)]);
    const [key, root] = [join(folder, 'a.pub'), join(folder, 'root.json')];
    writeFileSync(key, ours.pem);
    writeFileSync(root, sigstore.trustedRoot);
    const identities = { identity: IDENTITY, issuer: ISSUER };
    await start({
      COSIGN_PUB_KEY_PATH: key,
      SIGSTORE_TRUSTED_ROOT_PATH: root,
      SIGNATURE_POLICY: JSON.stringify([{ match: 'keyless', ...identities }]),
    });
    expect([await service.versionOf('fw'), await service.versionOf('keyless')]).toEqual(['1.0.0', '1.0.0']);
    writeFileSync(root, '{');
    await until(() => service.events('signature.keys_failed').length === 1, 'the failure of the root');
    expect(service.events('signature.keys_failed')).toMatchObject([{ source: `--sigstore-trusted-root-path ${root}` }]);
    writeFileSync(key, newKey().pem);
    await until(async () => (await service.versionOf('fw')) === 404, 'the revocation of the key');
    expect(await service.versionOf('keyless')).toBe('1.0.0');
    writeFileSync(key, 'gone');
    await until(() => service.events('signature.keys_failed').length === 2, 'the failure of the key');
    writeFileSync(root, (await PrivateSigstore.create()).trustedRoot);
    await until(async () => (await service.versionOf('keyless')) === 404, 'the revocation of the root');
  });
});

describe('a signature policy', () => {
  const registry = new FakeRegistry();
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-policy-'));
  let service: TestService;

  beforeAll(async () => {
    writeFileSync(join(folder, 'theirs.pub'), theirs.pem);
    await registry.start();
    for (const device of ['team-a/sensor', 'team-a/labs/sensor', 'team-b/sensor', 'elsewhere']) {
      signLegacy(registry, `fw/${device}`, registry.push(`fw/${device}`, '1.0.0', firmware), ours);
      const newer = registry.push(`fw/${device}`, '2.0.0', other);
      if (device !== 'elsewhere') signLegacy(registry, `fw/${device}`, newer, theirs);
    }
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => service.stop());

  const start = async (options: TestOptions): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REPOSITORY_PREFIX: 'fw', ...options });
  };
  const policy = JSON.stringify([
    { match: 'team-a/labs/**', required: false },
    { match: 'team-a/**', keys: join(folder, 'theirs.pub') },
  ]);

  it('gives each team its keys: the first match decides, the general key is for the rest', async () => {
    await start({ SIGNATURE_POLICY: policy, COSIGN_PUB_KEY: ours.pem });
    expect(await service.versionOf('team-a/sensor')).toBe('2.0.0');
    expect(await service.versionOf('team-a/labs/sensor')).toBe('2.0.0');
    expect(await service.versionOf('team-b/sensor')).toBe('1.0.0');
    expect(await service.versionOf('elsewhere')).toBe('1.0.0');
  });

  it('refuses devices that it does not speak of, where there is no general key', async () => {
    await start({ SIGNATURE_POLICY: policy });
    expect(await service.versionOf('team-a/sensor')).toBe('2.0.0');
    expect(await service.versionOf('team-b/sensor')).toBe(404);
    expect(service.events('release.untrusted').at(-1)?.code).toBe('no-policy');
  });
});
