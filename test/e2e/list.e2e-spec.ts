import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { firmwareBytes } from '../support/bytes.js';
import { espImage } from '../support/esp-image.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { fixture } from '../support/fixture.js';
import { run } from '../support/cli.js';
import { TestService } from '../support/service.js';

const LAYOUTS = ['--registry-url', `oci:${fixture('layouts')}`];
const lines = (text: string): string[] => text.trimEnd().split('\n');
interface Listed {
  readonly current: string | null;
  readonly total: number;
  readonly versions: readonly { version: string; tag: string; current: boolean; reason: string | null }[];
}
const json = (text: string): Listed => JSON.parse(text) as Listed;

describe('otaflux list', () => {
  it('lists the versions of a folder, newest first, and marks the current one', async () => {
    const { code, stdout, stderr } = await run(['list', 'esp32', ...LAYOUTS]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines(stdout)[0]).toMatch(/^ {3}VERSION +DATE +SIZE +DIGEST +SIGNED BY +NOTE$/);
    expect(lines(stdout)[1]).toMatch(/^→ {2}2\.0\.0-rc\.1 +2026-11-23 21:00Z +66 KB +sha256:[0-9a-f]{12}… {2}-/);
    expect(lines(stdout).map((line) => line.slice(3).split(' ')[0])).toEqual([
      'VERSION',
      '2.0.0-rc.1',
      '1.2.0+build.5',
      '1.2.0',
      '1.1.0',
      '1.0.0',
    ]);
    expect(lines(stdout)[3]).toMatch(/tag v1\.2\.0$/);
  });

  it('says which versions the server ignores, and why', async () => {
    const { stdout } = await run(['list', 'esp32', ...LAYOUTS, '--no-prereleases', '--min-version', '1.1.0']);
    expect(lines(stdout)[1]).toMatch(/^ {3}2\.0\.0-rc\.1 .* {2}pre-release \(--no-prereleases\)$/);
    expect(lines(stdout)[2]).toMatch(/^→ {2}1\.2\.0\+build\.5 /);
    expect(lines(stdout)[5]).toMatch(/^ {3}1\.0\.0 .* {2}older than --min-version 1\.1\.0$/);
  });

  it('marks the current version behind the limit, too', async () => {
    const { code, stdout } = await run(['list', 'esp32', ...LAYOUTS, '--no-prereleases', '--limit', '1']);
    expect(code).toBe(0);
    expect(lines(stdout).slice(2)).toEqual([
      '1 of 5 versions are listed. --limit 0 lists all.',
      'Devices get 1.2.0+build.5.',
    ]);
    expect(json((await run(['list', 'esp32', ...LAYOUTS, '--limit', '0', '--json'])).stdout)).toMatchObject({
      current: '2.0.0-rc.1',
      total: 5,
      versions: [
        { tag: '2.0.0-rc.1', current: true },
        { tag: '1.2.0_build.5' },
        { tag: 'v1.2.0', current: false },
        {},
        {},
      ],
    });
  });

  it('shows who signed', async () => {
    const key = ['--cosign-pub-key-path', fixture('keys/cosign.pub')];
    const good = await run(['list', 'signed-bundle', ...LAYOUTS, ...key]);
    expect(lines(good.stdout)[1]).toMatch(/^→ {2}1\.0\.0 .* {2}key sha256:[0-9a-f]{12}…$/);
    const bad = await run(['list', 'wrong-key-legacy', ...LAYOUTS, ...key]);
    expect(bad.code).toBe(1);
    expect(lines(bad.stdout)[1]).toMatch(/^ {3}1\.0\.0 .* 33 KB .* {2}- {2,}key-mismatch: /);
    expect(lines(bad.stdout)[2]).toBe('Devices get none of these versions.');
  });

  it('shows what the headers of ESP images say, and reads no more than the beginning', async () => {
    const registry = await new FakeRegistry().start();
    try {
      const app = { projectName: 'blink', version: '1.0.1' };
      registry.push('sensor', '1.0.0', espImage({ chip: 5, minRevision: 3, app }));
      registry.push('sensor', '1.1.0', espImage({ chip: 'esp8266' }));
      registry.push('sensor', '1.2.0', firmwareBytes(2_000));
      registry.push('plain', '1.0.0', firmwareBytes(2_000));
      const { stdout } = await run(['list', 'sensor', '--registry-url', registry.url]);
      const rows = lines(stdout).map((line) => line.split(/ {2,}/).slice(-4));
      expect(rows[0]).toEqual(['CHIP', 'IMAGE', 'SIGNED BY', 'NOTE']);
      expect(lines(stdout)[2]).toMatch(/ ESP8266 +- +-$/);
      expect(lines(stdout)[3]).toMatch(/ ESP32-C3 v0\.3\+ +blink 1\.0\.1 +-$/);
      const { versions } = json((await run(['list', 'sensor', '--json', '--registry-url', registry.url])).stdout);
      expect(versions).toMatchObject([
        { version: '1.2.0', esp: null },
        { version: '1.1.0', esp: { chip: 'ESP8266', minRevision: 0, project: null, version: null } },
        { version: '1.0.0', esp: { chip: 'ESP32-C3', minRevision: 3, project: 'blink', version: '1.0.1' } },
      ]);
      expect((await run(['list', 'plain', '--registry-url', registry.url])).stdout).not.toContain('CHIP');
      registry.fault = (_request, response, kind) => kind === 'blob' && Boolean(response.writeHead(404).end());
      expect((await run(['list', 'plain', '--registry-url', registry.url])).code).toBe(0);
    } finally {
      await registry.stop();
    }
  });

  it('tells by its exit code what is wrong', async () => {
    const codeOf = async (...args: string[]): Promise<number | null> => (await run(['list', ...args])).code;
    expect(await codeOf('nope', ...LAYOUTS)).toBe(1);
    expect(await codeOf('no-layer', ...LAYOUTS)).toBe(1);
    expect(await codeOf('Bad Name', ...LAYOUTS)).toBe(2);
    expect(await codeOf('esp32', ...LAYOUTS, '--limit', 'x')).toBe(2);
    expect(await codeOf('x', '--registry-url', 'http://127.0.0.1:1', '--registry-timeout', '300ms')).toBe(3);
  });
});

describe('otaflux list of a registry', () => {
  const registry = new FakeRegistry();
  beforeAll(() => registry.start());
  beforeEach(() => {
    registry.fault = () => false;
  });
  afterAll(() => registry.stop());

  it('marks what the server serves: not what is too large, and not what is gone', async () => {
    registry.push('big', '1.0.0', Buffer.alloc(100, 1));
    registry.push('big', '1.1.0', Buffer.alloc(3_000, 2));
    registry.repository('big').tags.set('1.2.0', `sha256:${'0'.repeat(64)}`);
    const options = ['--registry-url', registry.url, '--max-firmware-size', '1KiB'];
    const { stdout } = await run(['list', 'big', ...options]);
    expect(lines(stdout)[1]).toMatch(/^ {3}1\.2\.0 +- +- +- +- /);
    expect(lines(stdout)[2]).toMatch(/^ {3}1\.1\.0 +- +3 KB .* 3000 bytes, more than --max-firmware-size \(1024\)/);
    expect(lines(stdout)[3]).toMatch(/^→ {2}1\.0\.0 +- +100 bytes /);
    const service = await TestService.start({ REGISTRY_URL: registry.url, MAX_FIRMWARE_SIZE: '1KiB' });
    expect(await service.versionOf('big')).toBe('1.0.0');
    await service.stop();
  });

  it.each([
    [403, 'denied'],
    [503, 'unavailable'],
  ])('shows the others where the registry answers %d for one version', async (status, result) => {
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) registry.push('part', version, Buffer.from(version));
    const refuse = (version: string): void => {
      registry.fault = (request, response) =>
        Boolean(request.url?.endsWith(`/manifests/${version}`)) && Boolean(response.writeHead(status).end());
    };
    const options = ['--registry-url', registry.url, '--registry-timeout', '300ms'];
    refuse('1.1.0');
    for (const command of ['list', 'verify']) {
      const { code, stdout, stderr } = await run([command, 'part', ...options]);
      expect({ code, errors: stderr.replace(/^.*no signature was checked.*\n/, '') }).toEqual({ code: 0, errors: '' });
      expect(lines(stdout)[1]).toMatch(/^→ {2}1\.2\.0 /);
      expect(lines(stdout)[2]).toMatch(new RegExp(`^ {3}1\\.1\\.0 .*${result}.*${status}`));
      expect(lines(stdout)[3]).toMatch(/^ {3}1\.0\.0 /);
    }
    // Of the newest it is not known whether devices get it.
    refuse('1.2.0');
    const newest = await run(['list', 'part', ...options]);
    expect(newest).toMatchObject({ code: 3, stderr: expect.stringMatching(`^otaflux: .*${status}`) });
    expect(newest.stdout).toMatch(new RegExp(`\\n {3}1\\.2\\.0 .*${result}: `));
    expect(newest.stdout).not.toContain('Devices get');
  });

  it('asks for a few versions at once, and for no more than it lists', async () => {
    for (let minor = 0; minor < 60; minor++) registry.push('many', `1.${minor}.0`, Buffer.from([minor]));
    let [open, most] = [0, 0];
    registry.fault = (_request, response) => {
      most = Math.max(most, ++open);
      response.once('close', () => open--);
      return false;
    };
    registry.seen.length = 0;
    const { code, stdout } = await run(['list', 'many', '--registry-url', registry.url]);
    expect(code).toBe(0);
    expect(lines(stdout)).toHaveLength(22);
    expect(most).toBeLessThanOrEqual(8);
    expect(registry.count('manifest', 'HEAD')).toBe(20);
  });
});
