import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { hashToken } from '../../src/device/access/credentials.js';
import { signedQuery } from '../../src/signed-url.js';
import { firmwareBytes } from '../support/bytes.js';
import { EsphomeNode, installByBrowser, type Node } from '../support/clients/esphome.js';
import { espImage } from '../support/esp-image.js';
import { FakeRegistry, INDEX } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const first = espImage({ chip: 5, seed: 'first' });
const second = espImage({ chip: 5, seed: 'second', sizeBytes: 30_000 });
const s3 = espImage({ chip: 9, seed: 's3' });
const factory = firmwareBytes(50_000, 'factory');
const MANIFEST = '/esphome/sensor/manifest.json';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly builds: readonly {
    chipFamily: string;
    ota: { path: string; md5: string; summary?: string; release_url?: string };
    parts?: { path: string; offset: number }[];
  }[];
}

describe('ESPHome and ESP Web Tools', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let folder: string;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-'));
    registry.fault = () => false;
    registry.push('sensor', '1.0.0', first);
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('sensor');
    rmSync(folder, { recursive: true });
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    const fresh = { REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', LOG_LEVEL: 'debug' } as const;
    service = await TestService.start({ ...fresh, ...options });
  };
  const node = (more: Partial<Node> = {}): EsphomeNode =>
    new EsphomeNode(service.port, { source: MANIFEST, variant: 'ESP32-C3', version: '0.9.0', ...more });
  const offered = (version: string): Promise<void> =>
    until(async () => (await service.versionOf('sensor')) === version, `version ${version}`);
  /** What units said in the last second is stored before they are listed. */
  const stored = (): Promise<unknown> => service.management.get('/units?product=sensor').expect(200);
  const manifest = async (path = MANIFEST): Promise<Manifest> =>
    (await service.fetch(path)).json() as Promise<Manifest>;
  const chips = async (): Promise<string[]> => (await manifest()).builds.map(({ chipFamily }) => chipFamily);
  const bytesAt = async (path: string): Promise<Buffer> => Buffer.from(await (await service.fetch(path)).arrayBuffer());

  it('lives through a life: unknown, offered, cut, again, installed, up to date, updated, failed, registry away, wrong hardware', async () => {
    registry.remove('sensor');
    await start({ WEBHOOK_SECRET: 'a-secret-of-16-characters' });
    expect(await node().check()).toEqual({ state: 'error', error: 'Failed to fetch manifest' });
    registry.push('sensor', '1.0.0', first);
    const hook = '/webhooks/generic?token=a-secret-of-16-characters';
    await service.api.post(hook).send({ repository: 'sensor' }).expect(200);
    await offered('1.0.0');
    const source = (running: string): string => `${MANIFEST}?unit=kitchen&running=${running}`;
    const fresh = node({ source: source('0.9.0') });
    const info = await fresh.check();
    expect(info).toMatchObject({ state: 'AVAILABLE', title: 'sensor', latestVersion: '1.0.0' });
    expect(await fresh.flash(info, 9_000)).toBe('Stream closed before the end');
    expect(await fresh.flash(info)).toEqual(first);
    await stored();
    const updated = node({ version: '1.0.0', source: source('1.0.0') });
    expect(await updated.check()).toMatchObject({ state: 'NO_UPDATE' });
    await stored();
    expect(service.events('unit.installed')).toMatchObject([{ unit: 'kitchen', version: '1.0.0' }]);
    registry.push('sensor', '1.1.0', second);
    await offered('1.1.0');
    const next = await updated.check();
    expect(next).toMatchObject({ state: 'AVAILABLE', latestVersion: '1.1.0' });
    // It fails at the end, and is offered the update again: the user decides.
    expect(await updated.flash({ ...next, md5: '0'.repeat(32) })).toBe('MD5 mismatch');
    expect(await updated.check()).toMatchObject({ state: 'AVAILABLE' });
    registry.push('sensor', '1.2.0', first);
    await offered('1.2.0');
    // What it was shown is what it gets.
    expect(await updated.flash(next)).toEqual(second);
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    expect(await updated.flash(await updated.check())).toEqual(first);
    registry.fault = () => false;
    registry.repository('sensor').tags.delete('1.2.0');
    await offered('1.1.0');
    expect(await node({ version: '1.2.0' }).check()).toMatchObject({ state: 'AVAILABLE', latestVersion: '1.1.0' });
    // A release for another board.
    registry.pushFiles('sensor', '1.3.0', { 'x.bin': first }, { manifest: { 'vnd.otaflux.hardware': 'rev-b' } });
    await offered('1.3.0');
    const wrong = node({ version: '1.1.0', source: `${source('1.1.0')}&hardware=rev-a` });
    expect(await wrong.check()).toMatchObject({ state: 'NO_UPDATE' });
  });

  it('contains what the annotations say, and the factory image', async () => {
    const annotations = {
      'org.opencontainers.image.title': 'Sensor of the greenhouse',
      'org.opencontainers.image.description': 'Reads the humidity, too',
      'org.opencontainers.image.url': 'https://example.com/releases/1.1.0',
    };
    const files = { 'sensor.factory.bin': factory, 'sensor.ota.bin': second, 'notes.txt': Buffer.from('notes') };
    registry.pushFiles('sensor', '1.1.0', files, { manifest: annotations });
    await start();
    const { name, builds } = await manifest();
    expect({ name, builds }).toMatchObject({
      name: 'Sensor of the greenhouse',
      builds: [
        {
          chipFamily: 'ESP32-C3',
          ota: { summary: 'Reads the humidity, too', release_url: 'https://example.com/releases/1.1.0' },
          parts: [{ offset: 0 }],
        },
      ],
    });
    expect(builds[0]?.ota.path).toMatch(/^\/esphome\/sensor\/1\.1\.0\.bin\?file=sha256:[0-9a-f]{64}$/);
    expect(await bytesAt(builds[0]?.ota.path ?? '')).toEqual(second);
    expect(await installByBrowser(service.url, MANIFEST, 'ESP32-C3')).toEqual([{ offset: 0, bytes: factory }]);
    await expect(installByBrowser(service.url, MANIFEST, 'ESP32')).rejects.toThrow('not supported');
  });

  it('has a build for each chip of an index, each with its own factory image', async () => {
    const other = firmwareBytes(40_000, 'other factory');
    const c3Files = { 'firmware.ota.bin': second, 'firmware.factory.bin': factory };
    const s3Files = { 'firmware.ota.bin': s3, 'firmware.factory.bin': other };
    const manifests = [c3Files, s3Files].map((files) => registry.pushFiles('sensor', undefined, files));
    registry.putManifest('sensor', '2.0.0', { schemaVersion: 2, mediaType: INDEX, manifests }, INDEX);
    await start();
    expect(await chips()).toEqual(['ESP32-C3', 'ESP32-S3']);
    const info = await node({ variant: 'ESP32-S3' }).check();
    expect(await node().flash(info)).toEqual(s3);
    for (const [chip, expected] of [
      ['ESP32-C3', factory],
      ['ESP32-S3', other],
    ] as const) {
      const parts = await installByBrowser(service.url, MANIFEST, chip);
      expect(parts.map(({ offset, bytes }) => ({ offset, isFactory: bytes.equals(expected) }))).toEqual([
        { offset: 0, isFactory: true },
      ]);
    }
  });

  it('names the first image of a chip: a bootloader has the same header', async () => {
    registry.pushFiles('sensor', '1.1.0', { 'firmware.bin': second, 'bootloader.bin': first, 'spiffs.bin': factory });
    await start();
    expect(await chips()).toEqual(['ESP32-C3']);
    expect(await node().flash(await node().check())).toEqual(second);
  });

  it.each([
    ['the header', espImage({ chip: 'esp8266' }), {}, 'ESP8266'],
    ['the header, whatever the annotation says', first, { 'vnd.otaflux.chip-family': 'ESP32' }, 'ESP32-C3'],
    ['the annotation', gzipSync(first), { 'vnd.otaflux.chip-family': 'ESP8266' }, 'ESP8266'],
  ])('takes the chip from %s', async (_where, image, layer, chip) => {
    registry.pushFiles('sensor', '1.1.0', { 'sensor.bin': image }, { layers: { 'sensor.bin': layer } });
    await start();
    expect(await chips()).toEqual([chip]);
  });

  it('is not there for a release without an image for a chip, and the log says so once', async () => {
    registry.push('sensor', '1.1.0', firmwareBytes(5_000));
    await start();
    for (let i = 0; i < 3; i++) expect((await service.fetch(MANIFEST)).status).toBe(404);
    expect(service.events('esphome.no_chip')).toMatchObject([{ level: 'warn', device: 'sensor', version: '1.1.0' }]);
  });

  it('leaves out an image that cannot be downloaded, until it can', async () => {
    registry.pushFiles('sensor', '1.1.0', { 'c3.bin': second, 's3.bin': s3 });
    await start();
    await offered('1.1.0');
    registry.fault = (_request, response, kind) => kind === 'blob' && Boolean(response.writeHead(404).end());
    expect(await chips()).toEqual(['ESP32-C3']);
    registry.fault = () => false;
    await until(async () => (await chips()).length === 2, 'the other image', 30_000);
  });

  it('never has a bootloader in the place of an application that cannot be downloaded', async () => {
    const loader = espImage({ chip: 9, seed: 'bootloader' });
    const manifests = [{ 'c3.bin': second }, { 's3.bin': s3, 'bootloader.bin': loader }].map((files) =>
      registry.pushFiles('sensor', undefined, files),
    );
    registry.putManifest('sensor', '2.0.0', { schemaVersion: 2, mediaType: INDEX, manifests }, INDEX);
    await start();
    await offered('2.0.0');
    const digest = createHash('sha256').update(s3).digest('hex');
    registry.fault = ({ url }, response) => url?.includes(digest) === true && Boolean(response.writeHead(404).end());
    expect(await chips()).toEqual(['ESP32-C3']);
    registry.fault = () => false;
    await until(async () => (await chips()).length === 2, 'the application', 30_000);
    expect(await node().flash(await node({ variant: 'ESP32-S3' }).check())).toEqual(s3);
  });

  it('offers a release of several chips to each of them, and to no other', async () => {
    registry.pushFiles('sensor', '1.1.0', { 'c3.bin': second, 's3.bin': s3 });
    await start();
    const versionFor = async (hardware: string): Promise<string> =>
      (await manifest(`${MANIFEST}?unit=a&running=0.9.0&hardware=${hardware}`)).version;
    expect(await versionFor('esp32-c3')).toBe('1.1.0');
    expect(await versionFor('esp32-s3')).toBe('1.1.0');
    expect(await versionFor('esp32')).toBe('0.9.0');
    expect(service.events('unit.withheld')).toHaveLength(1);
  });

  it('has paths that ESPHome does not take for a URL', async () => {
    registry.push('http-sensor/https', '1.0.0', first);
    await start();
    const one = node({ source: '/esphome/http-sensor/https/manifest.json?unit=http' });
    const info = await one.check();
    expect(info.firmwareUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/esphome\/%68ttp-sensor\/%68ttps\/1\.0\.0\.bin/);
    expect(await one.flash(info)).toEqual(first);
    registry.remove('http-sensor/https');
  });

  it('may be read by pages of other sites, but nothing else may', async () => {
    await start();
    const path = (await manifest()).builds[0]?.ota.path ?? '';
    const allows = async (target: string, method = 'GET'): Promise<(number | string | null)[]> => {
      const answer = await service.fetch(target, { method, headers: { Origin: 'https://example.com' } });
      await answer.arrayBuffer();
      return [answer.status, answer.headers.get('access-control-allow-origin')];
    };
    for (const target of [MANIFEST, path]) {
      expect(await allows(target)).toEqual([200, '*']);
      expect(await allows(target, 'HEAD')).toEqual([200, '*']);
      expect(await allows(target, 'OPTIONS')).toEqual([204, '*']);
      expect(await allows(target, 'POST')).toEqual([405, '*']);
    }
    expect(await allows('/esphome/other/manifest.json')).toEqual([404, '*']);
    expect(await allows('/version?device=sensor')).toEqual([200, null]);
    expect(await allows('/esphome/sensor')).toEqual([404, null]);
  });

  it('needs credentials for the manifest where access is restricted, and none for the firmware in it', async () => {
    const path = join(folder, 'tokens');
    writeFileSync(path, `sensor sha256:${hashToken('secret')}\n`);
    const secret = 'a-secret-of-16-characters';
    await start({ DEVICE_TOKENS_PATH: path, DEVICE_URL_SECRET: secret });
    expect(await node().check()).toMatchObject({ error: 'Failed to fetch manifest' });
    expect((await service.fetch(MANIFEST, { method: 'OPTIONS' })).status).toBe(204);
    const answer = await service.fetch(`${MANIFEST}?unit=kitchen`, { headers: { Authorization: 'Bearer secret' } });
    const [build] = ((await answer.json()) as Manifest).builds;
    expect(await bytesAt(build?.ota.path ?? '')).toEqual(first);
    for (const wrong of [build?.ota.path.replace('kitchen', 'bath'), build?.ota.path.replace('/sensor/', '/other/')])
      expect([401, 403]).toContain((await service.fetch(wrong ?? '')).status);
    // A link of otaflux sign-url, for a page that cannot send a token.
    const query = signedQuery(secret, 'sensor', Math.floor(Date.now() / 1000) + 60).replace('device=sensor&', '');
    const link = node({ source: `${MANIFEST}?${query}` });
    expect(await link.flash(await link.check())).toEqual(first);
  });

  it.each([
    ['/esphome/', 404],
    ['/esphome/manifest.json', 400],
    ['/esphome//manifest.json', 400],
    ['/esphome/Sensor/manifest.json', 400],
    ['/esphome/..%2f..%2fetc/manifest.json', 400],
    ['/esphome/sensor/manifest.json?unit=%0A', 400],
    ['/esphome/sensor/9.9.9.bin', 404],
    ['/esphome/sensor/1.0.0.bin', 200],
    ['/esphome/sensor/1.0.0.bin?file=nothing', 404],
    ['/esphome/sensor/1.0.0.bin?file=', 404],
    ['/esphome/sensor/%.bin', 404],
    ['/esphome/sensor/1.0.0.exe', 404],
  ])('%s is answered with %d', async (path, status) => {
    await start();
    const answer = await service.fetch(path);
    await answer.arrayBuffer();
    expect(answer.status).toBe(status);
  });

  it('has two routes in the metrics, whatever is asked for', async () => {
    await start();
    for (const path of [MANIFEST, '/esphome/a/b/manifest.json', '/esphome/a/b.bin', '/esphome/a/b.exe'])
      await (await service.fetch(path)).arrayBuffer();
    const paths = [...(await service.metrics()).matchAll(/http_requests_total\{[^}]*path="(\/esphome[^"]*)"/g)];
    expect(new Set(paths.map(([, path]) => path))).toEqual(
      new Set(['/esphome/:product/manifest.json', '/esphome/:product/:version.bin']),
    );
  });

  it('is answered with 404 where the protocol is off', async () => {
    await start({ PROTOCOLS: 'native' });
    registry.seen.length = 0;
    expect((await service.fetch(MANIFEST)).status).toBe(404);
    expect(registry.asked).toEqual([]);
  });
});
