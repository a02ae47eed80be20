import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, renameSync, rmSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject, type Observable } from 'rxjs';
import { Readable } from 'node:stream';
import { FirmwareDigester } from '../../src/cache/firmware-digester.js';
import { ReleaseMemory } from '../../src/firmware/release-memory.js';
import {
  FirmwareStore,
  ReleaseService,
  SignatureVerifier,
  type Firmware,
  type FirmwareSource,
  type Lease,
  type Signer,
  type Verification,
} from '../../src/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { error, FakeRegistry, json } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const first = firmwareBytes(20_000, 'first');
const second = firmwareBytes(30_000, 'second');
const registry = new FakeRegistry();
let service: TestService;
const start = async (options: TestOptions = {}, parts = {}): Promise<TestService> =>
  (service = await TestService.start({ REGISTRY_URL: registry.url, ...options }, parts));
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());

beforeEach(() => registry.start());
afterEach(async () => {
  registry.fault = () => false;
  await service.stop();
  await registry.stop();
  for (const name of [...registry.names()]) registry.remove(name);
});

describe('a cache folder under a running server', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-review-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  it.each<[string, (folder: string) => void]>([
    [
      'whose file cannot be looked at',
      (root) => {
        const path = join(root, readdirSync(root)[0] ?? '');
        rmSync(path);
        symlinkSync(path, path);
      },
    ],
    [
      'that became something else',
      (root) => {
        renameSync(root, `${root}.away`);
        writeFileSync(root, '');
      },
    ],
    [
      'that cannot be looked into',
      (root) => {
        renameSync(root, `${root}.away`);
        symlinkSync(root, root);
      },
    ],
  ])('%s is done without', async (_name, harm) => {
    registry.push('fw', '1.0.0', first);
    await start({ CACHE_DIR: folder, CACHE_MEMORY: '1KiB' });
    expect((await bytesOf(await service.firmware('fw'))).equals(first)).toBe(true);
    harm(join(folder, 'sha256'));
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect((await bytesOf(await service.firmware('fw'))).equals(first)).toBe(true);
  });
});

describe('a release that was told', () => {
  it('is not had by its version for ever once another took its place', async () => {
    registry.push('fw', '1.0.0', first);
    await start({ REFRESH_INTERVAL: '0' });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    const releases = service.service.app.get(ReleaseService, { strict: false });
    const release = await releases.current('fw');
    registry.push('fw', '2.0.0', second);
    expect(await service.versionOf('fw')).toBe('2.0.0');
    registry.push('fw', '1.0.0', second);
    // It was eleven minutes ago.
    releases.told(release, performance.now() - 660_000);
    expect((await bytesOf(await service.firmware('fw&version=1.0.0'))).equals(second)).toBe(true);
    registry.repository('fw').tags.delete('1.0.0');
  });

  it('a proxy brings more devices than are kept: the one told last is not the one forgotten', async () => {
    const ids = Array.from({ length: 65 }, (_, i) => `fw${i}`);
    for (const id of ids) registry.push(id, '1.0.0', first);
    await start({ REFRESH_INTERVAL: '0' });
    const client = await RawClient.open(service.port);
    for (const id of ids.slice(0, 64)) await client.request(get(`/version?device=${id}`));
    expect((await client.request(get('/version?device=fw0'))).body.toString()).toMatch(/^1\.0\.0/);
    await client.request(get('/version?device=fw64'));
    registry.push('fw0', '2.0.0', second);
    expect((await client.request(get('/firmware?device=fw0'))).body.equals(first)).toBe(true);
    client.close();
  });
});

/** Trusts all but what `revoked` names; who signed stays trusted as such, as with identities and a new trusted root. */
class Judge extends SignatureVerifier {
  static revoked = new Set<string>();
  static signerGone = false;
  static readonly changed = new Subject<void>();
  override get changes(): Observable<void> {
    return Judge.changed;
  }
  override stillTrusts(_repository: string, signer: Signer | undefined): boolean {
    return !Judge.signerGone || signer?.identity !== 'x';
  }
  override verify(_repository: string, { digest }: { digest: string }): Promise<Verification> {
    return Promise.resolve(
      Judge.revoked.has(digest)
        ? { trusted: false, code: 'bad-certificate', reason: 'revoked' }
        : { trusted: true, signer: { name: 'x', form: 'bundle', at: undefined, identity: 'x', issuer: 'y' } },
    );
  }
}

describe('trust that was taken away', () => {
  beforeEach(() => {
    Judge.revoked.clear();
    Judge.signerGone = false;
  });
  const settings = { SIGNED_VERSION: 'ignore', REFRESH_INTERVAL: '30s' };

  it.each(['no other release', 'an older release'])(
    'from a release, with %s: it is not had by its version',
    async (what) => {
      if (what === 'an older release') registry.push('fw', '1.0.0', first);
      const digest = registry.push('fw', '2.0.0', second);
      await start(settings, { verifier: Judge });
      expect(await service.versionOf('fw')).toBe('2.0.0');
      Judge.revoked.add(digest);
      Judge.changed.next();
      const after = what === 'an older release' ? '1.0.0' : 404;
      await until(async () => (await service.versionOf('fw')) === after, 'the release to go');
      expect((await service.firmware('fw&version=2.0.0')).status).toBe(404);
    },
  );

  it.each(['who signed', 'what was signed'])(
    'from %s: what a connection was offered is not sent any more',
    async (what) => {
      const digest = registry.push('fw', '2.0.0', second);
      await start(settings, { verifier: Judge });
      const client = await RawClient.open(service.port);
      expect((await client.request(get('/version?device=fw'))).status).toBe(200);
      Judge.revoked.add(digest);
      if (what === 'who signed') Judge.signerGone = true;
      Judge.changed.next();
      await until(async () => (await service.versionOf('fw')) === 404, 'the release to go');
      expect((await client.request(get('/firmware?device=fw'))).status).toBe(404);
      client.close();
    },
  );

  it('is taken away though the registry says once that nothing is there', async () => {
    const digest = registry.push('fw', '2.0.0', second);
    await start({ ...settings, REFRESH_INTERVAL: '100ms' }, { verifier: Judge });
    expect(await service.versionOf('fw')).toBe('2.0.0');
    let refused = 0;
    registry.fault = (_request, response, kind) => {
      if (kind !== 'manifest' || refused > 1) return false;
      refused++;
      error(response, 404, 'MANIFEST_UNKNOWN');
      return true;
    };
    Judge.revoked.add(digest);
    Judge.changed.next();
    await until(async () => (await service.versionOf('fw')) !== 0 && refused > 1, 'the refusals');
    await until(async () => (await service.versionOf('fw')) === 404, 'the release to go');
  });

  it('while a search writes and reads its folder: nothing of who is not trusted becomes current', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-review-'));
    registry.push('fw', '2.0.0', second);
    await start({ ...settings, CACHE_DIR: folder }, { verifier: Judge });
    const memory = service.service.app.get(ReleaseMemory, { strict: false });
    const recall = memory.recall.bind(memory);
    memory.recall = async (device) => {
      const kept = await recall(device);
      Judge.signerGone = true;
      Judge.changed.next();
      return kept;
    };
    expect(await service.versionOf('fw')).toBe(404);
    rmSync(folder, { recursive: true, force: true });
  });
});

/** Loses what it is asked for twice, and then cannot read it. */
class BrokenStore extends FirmwareStore {
  static reads = 0;
  private opened = 0;
  private readonly known = new Map<string, Firmware>();
  override find(digest: string): Promise<Firmware | undefined> {
    return Promise.resolve(this.known.get(digest));
  }
  override async put(source: FirmwareSource): Promise<Firmware> {
    const digester = new FirmwareDigester('crc32');
    for await (const piece of source.open()) digester.update(piece);
    const firmware = digester.finish();
    this.known.set(firmware.sha256, firmware);
    return firmware;
  }
  override has(digest: string): boolean {
    return this.known.has(digest);
  }
  override hold(): void {
    return;
  }
  override open(): Lease | undefined {
    if (++this.opened <= 2) return undefined;
    BrokenStore.reads++;
    return {
      bytes: undefined,
      read: () =>
        new Readable({
          read: () => undefined,
          construct: (done) => {
            done(new Error('EIO'));
          },
        }),
      release: () => undefined,
    };
  }
}

it('a store that loses firmware and cannot read it is tried twice, not for ever', async () => {
  registry.push('fw', '1.0.0', first);
  await start({}, { store: BrokenStore });
  const answer = await service.firmware('fw', { signal: AbortSignal.timeout(3_000) }).then(
    ({ status }) => status,
    () => 'nothing',
  );
  await service.fetch('/health');
  expect({ answer, few: BrokenStore.reads < 4 }).toEqual({ answer: 503, few: true });
});

it('WATCH=all looks at what it has seen though the list of repositories is refused now', async () => {
  registry.push('fw', '1.0.0', first);
  let refuses = false;
  registry.fault = (request, response) => {
    if (!request.url?.startsWith('/v2/_catalog')) return false;
    if (refuses) error(response, 403, 'DENIED');
    else json(response, 200, { repositories: ['fw'] });
    return true;
  };
  await start({ WATCH: 'all', REFRESH_INTERVAL: '1s' });
  await until(() => service.events('release.changed').length === 1, 'the first release');
  refuses = true;
  registry.push('fw', '2.0.0', second);
  await until(() => service.events('release.changed').length === 2, 'the second release');
});
