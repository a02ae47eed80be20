import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReleaseService, type Release } from '../../src/firmware/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { error, FakeRegistry, INDEX, type Fault } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { tarOf } from '../support/tar.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const app = firmwareBytes(50_000, 'app');
const littlefs = firmwareBytes(300_000, 'littlefs');
const delta = firmwareBytes(20_000, 'delta');

const registry = new FakeRegistry();
let service: TestService;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
beforeEach(() => {
  registry.fault = () => false;
  registry.seen.length = 0;
});
afterEach(async () => {
  await service.stop();
  registry.remove('esp32');
});

const start = async (options: TestOptions = {}): Promise<void> => {
  service = await TestService.start({ REGISTRY_URL: registry.url, ...options });
};
const release = async (): Promise<Release> =>
  service.service.app.get(ReleaseService, { strict: false }).current('esp32');
const file = (title: string, init: RequestInit = {}): Promise<Response> =>
  service.firmware(`esp32&file=${encodeURIComponent(title)}`, init);
const bytesOf = async (response: Response): Promise<Buffer> => {
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
};
const hex = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const pulls = (bytes: Buffer): number =>
  registry.seen.filter(({ kind, url }) => kind === 'blob' && url.includes(hex(bytes))).length;
const inFull = { 'app.bin': app, 'littlefs.bin': littlefs, 'data/delta.zck': delta };

describe('a release with several files', () => {
  it('serves each by its title, and downloads one when it is first asked for', async () => {
    registry.pushFiles('esp32', '1.0.0', inFull);
    await start();
    expect(await service.versionOf('esp32')).toBe('1.0.0');
    expect([pulls(app), pulls(littlefs), pulls(delta)]).toEqual([1, 0, 0]);
    const answers = await Promise.all(Array.from({ length: 20 }, async () => bytesOf(await file('littlefs.bin'))));
    for (const bytes of answers) expect(bytes.equals(littlefs)).toBe(true);
    expect((await bytesOf(await file('data/delta.zck'))).equals(delta)).toBe(true);
    expect((await bytesOf(await file(`sha256:${hex(delta)}`))).equals(delta)).toBe(true);
    expect((await bytesOf(await file('app.bin'))).equals(app)).toBe(true);
    expect((await bytesOf(await service.firmware('esp32'))).equals(app)).toBe(true);
    expect([pulls(app), pulls(littlefs), pulls(delta)]).toEqual([1, 1, 1]);
  });

  it('answers conditions and ranges of a file by its own bytes', async () => {
    registry.pushFiles('esp32', '1.0.0', inFull);
    await start();
    const head = await file('littlefs.bin', { method: 'HEAD' });
    const etag = `"${hex(littlefs).slice(0, 32)}"`;
    expect(Object.fromEntries(head.headers)).toMatchObject({ etag, 'content-length': String(littlefs.length) });
    expect((await file('littlefs.bin', { headers: { 'If-None-Match': etag } })).status).toBe(304);
    const part = await file('littlefs.bin', { headers: { Range: 'bytes=299990-', 'If-Range': etag } });
    expect(part.status).toBe(206);
    expect(part.headers.get('content-range')).toBe('bytes 299990-299999/300000');
    expect(Buffer.from(await part.arrayBuffer()).equals(littlefs.subarray(299_990))).toBe(true);
  });

  it.each(['nothing.bin', '', 'x'.repeat(300), '../app.bin'])('has no file %j: 404', async (title) => {
    registry.pushFiles('esp32', '1.0.0', inFull);
    await start();
    const response = await file(title);
    expect(response.status).toBe(404);
    const shown = JSON.stringify(title.slice(0, 100));
    expect(await response.text()).toBe(
      `esp32 1.0.0 has no file ${shown}. It has app.bin, littlefs.bin, data/delta.zck`,
    );
  });

  it('gives the files of the release that the client was offered, and of the version that it names', async () => {
    registry.pushFiles('esp32', '1.0.0', inFull);
    await start({ REFRESH_INTERVAL: '0' });
    const offered = await RawClient.open(service.port);
    const other = await RawClient.open(service.port);
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    await offered.request(get('/version?device=esp32'));
    registry.pushFiles('esp32', '2.0.0', { 'app.bin': delta, 'littlefs.bin': app });
    await other.request(get('/version?device=esp32'));
    const littlefsFor = async (client: RawClient): Promise<Buffer> =>
      (await client.request(get('/firmware?device=esp32&file=littlefs.bin'))).body;
    expect((await littlefsFor(offered)).equals(littlefs)).toBe(true);
    expect((await littlefsFor(other)).equals(app)).toBe(true);
    offered.close();
    other.close();
    const old = await service.firmware('esp32&file=littlefs.bin&version=1.0.0');
    expect((await bytesOf(old)).equals(littlefs)).toBe(true);
    expect((await service.firmware('esp32&version=1.5.0&file=littlefs.bin')).status).toBe(404);
  });

  it('sends further files as they were pushed, also archives', async () => {
    const www = tarOf({ path: 'index.html', bytes: Buffer.from('<h1>Hello</h1>') });
    const tar = 'application/vnd.oci.image.layer.v1.tar';
    registry.pushFiles('esp32', '1.0.0', { 'app.bin': app, 'www.tar': www }, {}, tar);
    await start();
    expect((await bytesOf(await file('www.tar'))).equals(www)).toBe(true);
    expect((await bytesOf(await service.firmware('esp32'))).equals(app)).toBe(true);
  });

  it('restores a file that fell out of the cache, and keeps the firmware', async () => {
    registry.pushFiles('esp32', '1.0.0', inFull);
    await start({ CACHE_SIZE: '1' });
    for (let i = 0; i < 2; i++) {
      expect((await bytesOf(await file('littlefs.bin'))).equals(littlefs)).toBe(true);
      expect((await bytesOf(await service.firmware('esp32'))).equals(app)).toBe(true);
    }
    expect(pulls(littlefs)).toBe(2);
  });

  it('has at most 64 files, and none whose title is no name', async () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${i}.bin`, firmwareBytes(100, `f${i}`)]));
    registry.pushFiles('esp32', '1.0.0', { 'app.bin': app, 'a\nb': delta, ['y'.repeat(256)]: littlefs, ...many });
    await start();
    const { images } = await release();
    expect(images.map(({ title }) => title)).toEqual(['app.bin', ...Array.from({ length: 63 }, (_, i) => `f${i}.bin`)]);
  });
});

describe('a further file that the registry does not send', () => {
  const truncated: Fault = (_request, response) => {
    response.writeHead(200, { 'Content-Length': littlefs.length });
    response.write(littlefs.subarray(0, 1000));
    response.socket?.destroySoon();
    return true;
  };
  const wrong: Fault = (_request, response) => {
    response.writeHead(200, { 'Content-Length': littlefs.length }).end(firmwareBytes(littlefs.length, 'other'));
    return true;
  };
  const status =
    (code: number, name: string): Fault =>
    (_request, response) => {
      error(response, code, name);
      return true;
    };
  it.each<[string, Fault, number]>([
    ['is cut off', truncated, 503],
    ['has wrong bytes', wrong, 502],
    ['is missing', status(404, 'BLOB_UNKNOWN'), 502],
    ['is refused', status(403, 'DENIED'), 502],
    ['fails', status(500, 'UNKNOWN'), 503],
  ])('%s: its requests are refused, and the firmware is served', async (_name, fault, expected) => {
    registry.pushFiles('esp32', '1.0.0', inFull);
    await start({ REGISTRY_TIMEOUT: '2s' });
    registry.fault = (request, response, kind, step) =>
      kind === 'blob' && request.url?.includes(hex(littlefs)) === true && fault(request, response, kind, step);
    const answers = await Promise.all(Array.from({ length: 5 }, () => file('littlefs.bin')));
    for (const answer of answers) expect(answer.status).toBe(expected);
    const asked = pulls(littlefs);
    expect((await file('littlefs.bin')).status).toBe(expected);
    // A broken file is not downloaded again at once.
    expect(pulls(littlefs)).toBe(asked);
    expect(await service.versionOf('esp32')).toBe('1.0.0');
    expect((await bytesOf(await service.firmware('esp32'))).equals(app)).toBe(true);
    expect((await bytesOf(await file('data/delta.zck'))).equals(delta)).toBe(true);
  });

  it('is larger than the limit: it is not downloaded', async () => {
    registry.pushFiles('esp32', '1.0.0', inFull);
    await start({ MAX_FIRMWARE_SIZE: '100KiB' });
    expect((await file('littlefs.bin')).status).toBe(404);
    expect(pulls(littlefs)).toBe(0);
    expect((await service.firmware('esp32')).status).toBe(200);
  });
});

describe('an index with images for several chips', () => {
  const chip = (name: string): Record<string, string> => ({ 'vnd.otaflux.chip-family': name });
  const push = (): void => {
    const esp32 = registry.pushFiles('esp32', undefined, { 'app.bin': app }, { manifest: chip('ESP32') });
    const s3 = registry.pushFiles(
      'esp32',
      undefined,
      { 's3.bin': delta, 's3-littlefs.bin': littlefs },
      { manifest: chip('ESP32-S3'), layers: { 's3-littlefs.bin': { 'vnd.otaflux.chip-family': 'any', other: 'x' } } },
    );
    const annotations = { 'org.opencontainers.image.description': 'Fixes', 'vnd.otaflux.chip-family': 'none', a: 'b' };
    const body = { schemaVersion: 2, mediaType: INDEX, manifests: [esp32, s3], annotations };
    registry.putManifest('esp32', '1.0.0', body, INDEX);
  };

  it('is a release with an image of each, and their annotations', async () => {
    push();
    await start();
    const { images, annotations } = await release();
    expect(images.map(({ title, sizeBytes }) => [title, sizeBytes])).toEqual([
      ['app.bin', app.length],
      ['s3.bin', delta.length],
      ['s3-littlefs.bin', littlefs.length],
    ]);
    expect(images.map((image) => image.annotations['vnd.otaflux.chip-family'])).toEqual(['ESP32', 'ESP32-S3', 'any']);
    expect(annotations).toEqual({
      'org.opencontainers.image.description': 'Fixes',
      'vnd.otaflux.chip-family': 'ESP32',
    });
    expect((await bytesOf(await file('s3.bin'))).equals(delta)).toBe(true);
    expect((await bytesOf(await service.firmware('esp32'))).equals(app)).toBe(true);
  });

  it('serves its firmware while the manifest of another chip cannot be had, and finds that later', async () => {
    push();
    let broken = true;
    const s3 = [...registry.repository('esp32').manifests.keys()][1]!;
    registry.fault = (request, response) => {
      const hit = broken && request.url?.endsWith(s3) === true;
      if (hit) error(response, 503, 'UNAVAILABLE');
      return hit;
    };
    await start({ REFRESH_INTERVAL: '0', REGISTRY_TIMEOUT: '1s' });
    expect((await bytesOf(await service.firmware('esp32'))).equals(app)).toBe(true);
    expect((await file('s3.bin')).status).toBe(404);
    expect(service.events('release.image_missing')).toHaveLength(1);
    broken = false;
    await until(async () => (await file('s3.bin')).status === 200, 'the image of the other chip');
    expect(service.events('release.changed')).toHaveLength(1);
  });
});

describe('a restart while the registry is away', () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-files-'));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('knows all files, and serves those that were downloaded before', async () => {
    registry.pushFiles('esp32', '1.0.0', inFull);
    await start({ CACHE_DIR: folder });
    expect((await bytesOf(await file('littlefs.bin'))).equals(littlefs)).toBe(true);
    await until(() => readdirSync(join(folder, 'releases')).length === 1, 'the stored search');
    await service.stop();
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    await start({ CACHE_DIR: folder, REGISTRY_TIMEOUT: '1s' });
    expect((await bytesOf(await file('littlefs.bin'))).equals(littlefs)).toBe(true);
    expect((await bytesOf(await service.firmware('esp32'))).equals(app)).toBe(true);
    expect((await file('data/delta.zck')).status).toBe(503);
    expect((await release()).images).toHaveLength(3);
  });
});
