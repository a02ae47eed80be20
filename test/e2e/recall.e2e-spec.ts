import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry, MANIFEST } from '../support/fake-registry.js';
import { newKey, signBundle, signLegacy } from '../support/sign.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const firmware = firmwareBytes(50_000);
const ours = newKey();
const theirs = newKey();

describe('a start while the registry is away', () => {
  const registry = new FakeRegistry();
  let folder: string;
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-recall-'));
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('fw');
    await registry.stop();
    await registry.start();
    rmSync(folder, { recursive: true });
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REGISTRY_TIMEOUT: '1300ms',
      CACHE_DIR: folder,
      ...options,
    });
  };
  /** Serves what the registry has, ends, and starts again without the registry. */
  const restart = async (options: TestOptions = {}, change: () => void = () => undefined): Promise<void> => {
    await start(options);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await service.stop();
    await registry.stop();
    change();
    await start(options);
  };
  const kept = (): string => {
    const [name] = readdirSync(join(folder, 'releases'));
    return join(folder, 'releases', name ?? 'none');
  };

  it('serves what was current, and what the registry has once it is back', async () => {
    registry.push('fw', '1.0.0', firmware);
    await restart();
    expect(await service.versionOf('fw')).toBe('1.0.0');
    const image = await service.firmware('fw');
    expect(Buffer.from(await image.arrayBuffer()).equals(firmware)).toBe(true);
    expect(service.events('release.recalled')).toMatchObject([{ device: 'fw', version: '1.0.0' }]);
    expect(await service.metrics()).toContain('otaflux_stale_releases 1');
    expect((await service.version('other')).status).toBe(503);
    registry.push('fw', '1.1.0', firmwareBytes(10));
    await registry.start();
    await until(async () => (await service.versionOf('fw')) === '1.1.0', 'the new version');
    expect(await service.metrics()).toContain('otaflux_stale_releases 0');
  });

  it('gives a device the version that it was told before', async () => {
    registry.push('fw', '1.0.0', firmware);
    await restart();
    expect((await service.firmware('fw&version=2.0.0')).status).toBe(503);
    const image = await service.firmware('fw&version=1.0.0');
    expect(Buffer.from(await image.arrayBuffer()).equals(firmware)).toBe(true);
  });

  it.each(['bundle', 'legacy'])('judges the signature again: %s', async (form) => {
    const digest = registry.push('fw', '1.0.0', firmware);
    if (form === 'legacy') signLegacy(registry, 'fw', digest, ours);
    else signBundle(registry, 'fw', digest, ours);
    await restart({ COSIGN_PUB_KEY: ours.pem });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await service.stop();
    await start({ COSIGN_PUB_KEY: theirs.pem });
    expect(await service.versionOf('fw')).toBe(503);
    expect(service.events('release.not_recalled')).toHaveLength(1);
  });

  it('passes over, as the registry did, what was not trusted', async () => {
    const digest = registry.push('fw', '1.0.0', firmware);
    signBundle(registry, 'fw', digest, ours);
    registry.push('fw', '2.0.0', firmwareBytes(10));
    await restart({ COSIGN_PUB_KEY: ours.pem });
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('passes over what it knew to hold no firmware', async () => {
    registry.push('fw', '0.9.0', firmware);
    const config = { mediaType: 'application/x', digest: registry.putBlob('fw', Buffer.from('{}')), size: 2 };
    registry.putManifest('fw', '2.0.0', { schemaVersion: 2, mediaType: MANIFEST, config, layers: [] });
    await start({ REFRESH_INTERVAL: '0' });
    expect(await service.versionOf('fw')).toBe('0.9.0');
    registry.push('fw', '1.0.0', firmware);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await service.stop();
    await registry.stop();
    await start();
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('keeps the signatures of today, not those of the day it was found', async () => {
    const digest = registry.push('fw', '1.0.0', firmware);
    signBundle(registry, 'fw', digest, theirs);
    const keys = join(folder, 'keys.pem');
    writeFileSync(keys, theirs.pem);
    await start({ COSIGN_PUB_KEY_PATH: keys });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    signBundle(registry, 'fw', digest, ours);
    writeFileSync(keys, ours.pem);
    await until(() => service.events('release.distrusted').length > 0, 'the new key');
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the release, signed anew');
    await service.stop();
    await registry.stop();
    await start({ COSIGN_PUB_KEY_PATH: keys });
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('serves nothing that was not confirmed for MAX_STALE', async () => {
    registry.push('fw', '1.0.0', firmware);
    await restart({ MAX_STALE: '1h' }, () => {
      utimesSync(kept(), 0, Date.now() / 1000 - 3_601);
    });
    expect((await service.version('fw')).status).toBe(503);
  });

  it('believes no byte that is not what its digest says, and no file that is none', async () => {
    registry.push('fw', '1.0.0', firmware);
    let text = '';
    await restart({}, () => {
      text = readFileSync(kept(), 'utf8');
      const manifest = /"manifest [^"]*":"([^"]*)"/.exec(text)?.[1] ?? '';
      const changed = Buffer.from(manifest, 'base64').toString().replace('"schemaVersion":2', '"schemaVersion": 2');
      writeFileSync(kept(), text.replace(manifest, Buffer.from(changed).toString('base64')));
    });
    expect((await service.version('fw')).status).toBe(503);
    expect(service.events('release.not_recalled')[0]?.reason).toContain('its bytes have another digest');
    for (const broken of ['', '{', '{"device":"other","answers":{}}', text.replace('"tags fw":[', '"tags fw":[1,')]) {
      await service.stop();
      writeFileSync(kept(), broken);
      await start();
      expect((await service.version('fw')).status).toBe(503);
    }
  });

  it('forgets a release that is not to be served any more', async () => {
    const keys = join(folder, 'keys.pem');
    writeFileSync(keys, ours.pem);
    signBundle(registry, 'fw', registry.push('fw', '1.0.0', firmware), ours);
    await start({ COSIGN_PUB_KEY_PATH: keys });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(statSync(kept()).mode & 0o777).toBe(0o600);
    writeFileSync(keys, theirs.pem);
    await until(() => readdirSync(join(folder, 'releases')).length === 0, 'it to be forgotten');
  });

  it('does not bring back what the registry has withdrawn meanwhile', async () => {
    registry.push('fw', '1.0.0', firmware);
    await restart({}, () => {
      registry.remove('fw');
    });
    await service.stop();
    await registry.start();
    await start();
    expect((await service.version('fw')).status).toBe(404);
    await service.stop();
    await registry.stop();
    await start();
    expect((await service.version('fw')).status).toBe(503);
  });

  it('has to pull what it unpacked: only firmware that is a blob has its name', async () => {
    const large = firmwareBytes(400_000);
    writeFileSync(join(folder, 'firmware.bin'), large);
    const tar = execFileSync('tar', ['-cf', '-', '-C', folder, 'firmware.bin']);
    const blob = (mediaType: string, bytes: Buffer): object => ({
      mediaType,
      digest: registry.putBlob('fw', bytes),
      size: bytes.length,
    });
    registry.putManifest('fw', '1.0.0', {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: blob('application/vnd.oci.image.config.v1+json', Buffer.from('{}')),
      layers: [blob('application/vnd.oci.image.layer.v1.tar', tar)],
    });
    await restart();
    expect((await service.version('fw')).status).toBe(503);
    await registry.start();
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the release');
  });

  it('serves when the folder can no longer be written to, as without one', async () => {
    registry.push('fw', '1.0.0', firmware);
    await start({ CACHE_DIR: join(folder, 'failing') });
    rmSync(join(folder, 'failing', 'releases'), { recursive: true, force: true });
    writeFileSync(join(folder, 'failing', 'releases'), '');
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(service.events('release.memory_failed')).toHaveLength(1);
  });
});
