import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { firmwareBytes } from '../support/bytes.js';
import { run, type Finished } from '../support/cli.js';
import { FakeRegistry, MANIFEST } from '../support/fake-registry.js';
import { fixture } from '../support/fixture.js';

const LAYOUTS = `oci:${fixture('layouts')}`;
const KEY = ['--cosign-pub-key-path', fixture('keys/cosign.pub')];

interface Listed {
  readonly repository: string;
  readonly current: string | null;
  readonly total: number;
  readonly versions: { version: string; tag: string; status: string; reason: string | null; signer: string | null }[];
}

describe('otaflux list', () => {
  const list = (device: string, ...args: string[]): Promise<Finished> =>
    run(['list', device, '--registry-url', LAYOUTS, ...args]);

  it('shows version, date, size, digest, signer, and which version devices get', async () => {
    const { code, stdout, stderr } = await list('esp32');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^ +VERSION +CREATED +SIZE +DIGEST +SIGNED BY +NOTE$/);
    expect(lines[1]).toMatch(
      /^→ {2}2\.0\.0-rc\.1 +\d{4}-\d\d-\d\d \d\d:\d\d +66 KB +sha256:[0-9a-f]{12}… +- +current$/,
    );
    expect(lines.slice(2).map((line) => line.trim().split(/ +/)[0])).toEqual([
      '1.2.0+build.5',
      '1.2.0',
      '1.1.0',
      '1.0.0',
    ]);
    expect(lines[2]).toMatch(/ - +-$/);
  });

  it('is one JSON object with --json', async () => {
    const { stdout } = await list('esp32', '--json', '--limit', '1');
    expect(JSON.parse(stdout)).toEqual({
      repository: 'esp32',
      current: '2.0.0-rc.1',
      total: 5,
      versions: [
        {
          version: '2.0.0-rc.1',
          tag: '2.0.0-rc.1',
          status: 'current',
          createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
          sizeBytes: 65_536,
          digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
          result: 'unverified',
          signer: null,
          signedAt: null,
          reason: null,
        },
      ],
    });
  });

  it('names who signed, and why a version is skipped', async () => {
    const signed = await list('signed-bundle', ...KEY);
    expect(signed.stdout).toMatch(/\n→ {2}1\.0\.0 .* key sha256:[0-9a-f]{12}… +current\n/);
    const unsigned = await list('unsigned', ...KEY);
    expect(unsigned).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/\n {3}1\.0\.0 .* - +skipped: .*sign.*\nDevices get no version\.\n$/),
    });
  });

  it('says which versions the settings exclude', async () => {
    const { stdout } = await list('esp32', '--no-prereleases', '--min-version', '1.1.0', '--json');
    const { current, versions } = JSON.parse(stdout) as Listed;
    expect(current).toBe('1.2.0+build.5');
    expect(versions.map(({ version, status, reason }) => [version, status, reason])).toEqual([
      ['2.0.0-rc.1', 'skipped', 'pre-release, and --no-prereleases is set'],
      ['1.2.0+build.5', 'current', null],
      ['1.2.0', 'older', null],
      ['1.1.0', 'older', null],
      ['1.0.0', 'skipped', 'older than --min-version 1.1.0'],
    ]);
  });

  it.each([
    [['nothing-here'], 1, /^otaflux: .*nothing-here/],
    [['Esp32'], 2, /^otaflux: device: got "Esp32": device ids are lower case: esp32/],
    [['esp32', '--limit', '0'], 2, /^otaflux: --limit: got "0", expected a whole number from 1 to 10000/],
    [['esp32', '--registry-url', 'http://127.0.0.1:1'], 3, /^otaflux: .*127\.0\.0\.1:1/],
  ])('%j ends with code %i', async ([device = '', ...args], code, message) => {
    const result = await list(device, ...args);
    expect(result).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(message);
  });
});

describe('otaflux list with a registry', () => {
  const registry = new FakeRegistry();
  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  afterEach(() => {
    for (const name of [...registry.names()]) registry.remove(name);
    registry.fault = () => false;
  });
  const list = async (...args: string[]): Promise<Listed> =>
    JSON.parse((await run(['list', 'fw', '--registry-url', registry.url, '--json', ...args])).stdout) as Listed;

  it('shows the newest first, 20 of them, and more only with --limit', async () => {
    for (let i = 0; i < 30; i++) registry.push('fw', `1.${i}.0`, firmwareBytes(100 + i));
    const { versions, total } = await list();
    expect(total).toBe(30);
    expect(versions.map(({ version }) => version)).toEqual(Array.from({ length: 20 }, (_value, i) => `1.${29 - i}.0`));
    expect((await list('--limit', '25')).versions).toHaveLength(25);
    const { stdout } = await run(['list', 'fw', '--registry-url', registry.url]);
    expect(stdout).toMatch(/\nShowing 20 of 30 versions\. Use --limit to see more\.\n$/);
  });

  it('asks for some versions at the same time, but not for all', async () => {
    for (let i = 0; i < 30; i++) registry.push('fw', `1.${i}.0`, firmwareBytes(100 + i));
    let open = 0;
    let most = 0;
    registry.fault = (request, response) => {
      most = Math.max(most, ++open);
      setImmediate(() =>
        setImmediate(() => {
          registry.answer(request, response);
        }),
      );
      response.on('finish', () => open--);
      return true;
    };
    expect((await list('--limit', '30')).versions).toHaveLength(30);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
  });

  it('looks beyond the limit for the version that devices get', async () => {
    registry.push('fw', '1.0.0', firmwareBytes(100));
    for (let i = 0; i < 12; i++)
      registry.putManifest('fw', `2.${i}.0`, {
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: `sha256:${'0'.repeat(64)}`, size: 2 },
        layers: [],
        annotations: { i: String(i) },
      });
    const { current, versions } = await list('--limit', '3');
    expect(current).toBe('1.0.0');
    expect(versions).toHaveLength(13);
    expect(versions[0]).toMatchObject({
      version: '2.11.0',
      status: 'skipped',
      reason: expect.stringMatching(/no layer/),
    });
  });

  it('shows a version that cannot be read, behind which no older one becomes current', async () => {
    registry.push('fw', '1.0.0', firmwareBytes(100));
    registry.putManifest('fw', '2.0.0', { broken: true });
    const { current, versions } = await list();
    expect(current).toBeNull();
    expect(versions.map(({ version, status }) => [version, status])).toEqual([
      ['2.0.0', 'skipped'],
      ['1.0.0', 'older'],
    ]);
    expect(versions[0]?.reason).toMatch(/manifest/);
  });
});
