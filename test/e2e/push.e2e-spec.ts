import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes, versionBody } from '../support/bytes.js';
import { run, type Finished } from '../support/cli.js';
import { FakeRegistry, sha256 } from '../support/fake-registry.js';
import { describeWith, DistributionServer, itWith, runProgram } from '../support/real-server.js';
import { TestService } from '../support/service.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-push-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const esp = firmwareBytes(40_000);
const plain = Buffer.concat([Buffer.from('STM32'), firmwareBytes(10_000)]);
const file = (name: string, bytes: Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const espFile = file('firmware.bin', esp);
const plainFile = file('plain.bin', plain);

interface Manifest {
  readonly artifactType: string;
  readonly config: { readonly mediaType: string; readonly digest: string };
  readonly layers: { readonly mediaType: string; readonly digest: string; readonly annotations: object }[];
  readonly annotations: Record<string, string>;
}

describe('otaflux push to a folder', () => {
  const root = join(folder, 'not', 'there', 'yet');
  const push = (...args: string[]): Promise<Finished> => run(['push', ...args, '--registry-url', `oci:${root}`]);
  const manifestOf = (device: string, digest: string): Manifest =>
    JSON.parse(readFileSync(join(root, device, 'blobs', ...digest.split(':')), 'utf8')) as Manifest;

  it.each([
    [['--max-firmware-size', '39999'], {}],
    [[], { MAX_FIRMWARE_SIZE: '10KiB' }],
  ])('refuses, before it writes anything, what exceeds the limit of the server: %j %j', async (args, env) => {
    const target = join(folder, 'limited');
    const limited = (...more: string[]): Promise<Finished> =>
      run(['push', 'esp32', '1.0.0', espFile, '--registry-url', `oci:${target}`, ...args, ...more], env);
    const { code, stderr } = await limited();
    expect(code).toBe(2);
    expect(stderr).toMatch(/^otaflux: file: it has 40000 bytes, more than --max-firmware-size \(\d+\)\. .*--force\n$/);
    expect(existsSync(target)).toBe(false);
    expect((await limited('--force')).code).toBe(0);
    rmSync(target, { recursive: true });
  });

  it('takes what has exactly the size of the limit', async () => {
    const { code } = await push('exact', '1.0.0', espFile, '--max-firmware-size', String(esp.length));
    expect(code).toBe(0);
  });

  it('writes what oras would, and it is served', async () => {
    const { code, stdout } = await push('esp32', '1.2.3+build.7', espFile, '--json', '--annotation', 'team=a=b');
    expect(code).toBe(0);
    const pushed = JSON.parse(stdout) as { digest: string };
    expect(pushed).toMatchObject({
      repository: 'esp32',
      tag: '1.2.3_build.7',
      version: '1.2.3+build.7',
      size: esp.length,
      changed: true,
    });
    expect(manifestOf('esp32', pushed.digest)).toMatchObject({
      artifactType: 'application/vnd.espressif.esp32.firmware.v1',
      config: { mediaType: 'application/vnd.oci.empty.v1+json' },
      layers: [
        {
          mediaType: 'application/vnd.espressif.esp32.firmware.v1+binary',
          digest: sha256(esp),
          annotations: { 'org.opencontainers.image.title': 'firmware.bin' },
        },
      ],
      annotations: { team: 'a=b', 'org.opencontainers.image.created': expect.stringMatching(/^\d{4}-.*Z$/) },
    });
    const service = await TestService.start({ REGISTRY_URL: `oci:${root}` });
    expect(await (await service.version('esp32')).text()).toBe(versionBody('1.2.3+build.7', esp));
    await service.stop();
  });

  it('does not take the same bytes with other conditions for the same release', async () => {
    expect((await push('guarded', '1.0.0', espFile, '--annotation', 'build=1')).code).toBe(0);
    expect((await push('guarded', '1.0.0', espFile, '--annotation', 'build=2')).stdout).toContain('Already there');
    const guard = ['--annotation', 'vnd.otaflux.requires=>=0.9.0'];
    const refused = await push('guarded', '1.0.0', espFile, ...guard);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('exists with other annotations') });
    expect((await push('guarded', '1.0.0', espFile, ...guard, '--force')).code).toBe(0);
    expect((await push('guarded', '1.0.0', espFile, ...guard)).stdout).toContain('Already there');
  });

  it('prints where, how much, the digest, and which devices get it', async () => {
    const { stdout } = await push('line-1/sensor', 'v1.0.0', plainFile, '--artifact-type', 'application/vnd.acme.fw');
    const [where, digestLine, devices, ...more] = stdout.trimEnd().split('\n');
    expect(where).toBe(`Pushed oci:${root}/line-1/sensor:v1.0.0 (10 KB)`);
    expect(devices).toBe('Devices that ask for "line-1/sensor" get it.');
    expect(more).toEqual([]);
    const digest = /^Digest: (sha256:[0-9a-f]{64})$/.exec(digestLine ?? '')?.[1] ?? '';
    expect(manifestOf('line-1/sensor', digest)).toMatchObject({
      artifactType: 'application/vnd.acme.fw',
      layers: [{ mediaType: 'application/octet-stream' }],
    });
  });

  it('says when devices do not get it: something newer is there, it is not signed, or it is a pre-release', async () => {
    await push('several', '2.0.0', espFile);
    const older = await push('several', '1.0.0', espFile);
    expect(older.stdout).toContain('Devices that ask for "several" keep getting 2.0.0, which is newer.\n');
    const early = await push('several', '3.0.0-rc.1', espFile);
    expect(early.stdout).toContain('get it.\nIt is a pre-release: servers with --no-prereleases do not offer it.\n');
    const url = ['--registry-url', `oci:${root}`];
    const hidden = await run(['push', 'several', '3.0.0-rc.2', espFile, ...url], { PRERELEASES: 'false' });
    expect(hidden.stdout).toMatch(/Devices that ask for "several" do not get it, because --no-prereleases is set\.\n$/);
    const old = await run(['push', 'several', '2.1.0', espFile, ...url, '--min-version', '5.0.0']);
    expect(old.stdout).toMatch(/Devices that ask for "several" do not get it, because --min-version is newer\.\n$/);
    const shown = await run(['push', 'several', '2.2.0', espFile, ...url, '--no-prereleases']);
    expect(shown.stdout).toMatch(/Devices that ask for "several" get it\.\n$/);
    const arguments_ = ['push', 'signed', '1.0.0', espFile, '--registry-url', `oci:${root}`];
    const unsigned = await run(arguments_, { COSIGN_PUB_KEY_PATH: '/keys' });
    expect(unsigned.stdout).toMatch(
      /Devices that ask for "signed" get it once it is signed\.\nSign it: see https:\S+\/docs\/signing\.md\n$/,
    );
  });

  it('does not replace a version by other bytes, however it is written, unless it is forced', async () => {
    await push('once', '1.0.0', espFile);
    expect(await push('once', '1.0.0', espFile)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Already there: oci:.*once:1\.0\.0 \(40 KB\)\n/),
    });
    for (const version of ['1.0.0', 'v1.0.0']) {
      const refused = await push('once', version, plainFile);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(
        /^otaflux: once:1\.0\.0 exists with other bytes \(sha256:.*\. Choose another version, or use --force/,
      );
    }
    expect(await push('once', '1.0.0', plainFile, '--force')).toMatchObject({ code: 0 });
  });

  it('pushes several files as one release, the firmware first, and each is served by its name', async () => {
    const littlefs = firmwareBytes(30_000, 'littlefs');
    const littlefsFile = file('littlefs.bin', littlefs);
    const first = await push('two', '1.0.0', espFile, littlefsFile);
    expect(first.stdout).toMatch(/^Pushed oci:.*two:1\.0\.0 \(40 KB, and 1 more file\)\n/);
    expect((await push('two', '1.0.0', espFile, littlefsFile)).stdout).toMatch(/^Already there: /);
    const other = file('other.bin', littlefs);
    for (const files of [[espFile], [espFile, other], [littlefsFile, espFile], [espFile, littlefsFile, plainFile]])
      expect(await push('two', '1.0.0', ...files)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('two:1.0.0 exists with other'),
      });
    const json = await push('two', '1.1.0', espFile, littlefsFile, plainFile, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ size: esp.length, files: 3, changed: true });
    const service = await TestService.start({ REGISTRY_URL: `oci:${root}` });
    expect(await (await service.version('two')).text()).toBe(versionBody('1.1.0', esp));
    const served = await service.firmware('two&file=littlefs.bin');
    expect(Buffer.from(await served.arrayBuffer()).equals(littlefs)).toBe(true);
    await service.stop();
  });

  it('refuses two files of one name, a missing one, and an empty one', async () => {
    const nested = join(folder, 'nested');
    mkdirSync(nested, { recursive: true });
    const twin = file('nested/firmware.bin', plain);
    for (const [files, reason] of [
      [[espFile, twin], 'file: two files have the name "firmware.bin". Rename one of them'],
      [[espFile, join(folder, 'missing.bin')], 'missing.bin'],
      [[espFile, file('empty.bin', Buffer.alloc(0))], 'is empty'],
    ] as const)
      expect(await push('refused', '1.0.0', ...files)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(reason),
      });
    expect(existsSync(join(root, 'refused'))).toBe(false);
  });

  it('loses nothing when eight are pushed at once, and leaves no temporary file', async () => {
    const versions = Array.from({ length: 8 }, (_value, i) => `1.0.${i}`);
    const results = await Promise.all(
      versions.map((version) => push('busy', version, version === '1.0.3' ? plainFile : espFile)),
    );
    expect(results.map(({ code }) => code)).toEqual(versions.map(() => 0));
    const index = JSON.parse(readFileSync(join(root, 'busy', 'index.json'), 'utf8')) as {
      manifests: { annotations: Record<string, string> }[];
    };
    expect(index.manifests.map(({ annotations }) => annotations['org.opencontainers.image.ref.name']).sort()).toEqual(
      versions,
    );
    const files = readdirSync(join(root, 'busy'), { recursive: true, encoding: 'utf8' });
    expect(files.filter((name) => /\.(?:tmp|lock)$/.test(name))).toEqual([]);
  });

  it.each([
    [['../x', '1.0.0', espFile], /device: got "\.\.\/x": a device id consists of .*Expected esp32/],
    [['ESP32', '1.0.0', espFile], /device: got "ESP32": device ids are lower case: esp32/],
    [['x', '1.0.0', folder], /file: cannot read ".*": it is a directory, not a file/],
    [['x', '1.0', espFile], /version: got "1\.0", expected a semantic version/],
    [['x', '1.0.0', join(folder, 'nope.bin')], /file: cannot read ".*nope\.bin": no such file/],
    [['x', '1.0.0', file('empty.bin', Buffer.alloc(0))], /file: ".*empty\.bin" is empty/],
    [['x', '1.0.0'], /missing required argument 'file'/],
    [['x', '1.0.0', espFile, '--annotation', 'novalue'], /--annotation: got "novalue", expected KEY=VALUE/],
  ])('%j is wrong use', async (args, message) => {
    const { code, stderr } = await push(...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

it('otaflux push says when the registry cannot be reached, or refuses', async () => {
  const down = await run(['push', 'x', '1.0.0', espFile, '--registry-url', 'http://127.0.0.1:1']);
  expect(down).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^otaflux: cannot reach http:\/\/127\.0\.0\.1:1: connection refused/),
  });
  const registry = await new FakeRegistry().start();
  registry.auth = { user: 'robot', password: 'secret' };
  const refused = await run(['push', 'x', '1.0.0', espFile, '--registry-url', registry.url]);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/credentials are needed/) });
  await registry.stop();
});

describeWith(
  ['docker-registry'],
  'otaflux push to a CNCF Distribution registry',
  () => {
    const registry = new DistributionServer();
    const large = firmwareBytes(70 * 1024 * 1024);
    let service: TestService;

    beforeAll(async () => {
      await registry.start();
      service = await TestService.start({
        REGISTRY_URL: registry.url,
        REPOSITORY_PREFIX: 'fw/',
        REFRESH_INTERVAL: '0',
      });
    });
    afterAll(async () => {
      await service.stop();
      await registry.stop();
    });

    const push = (...args: string[]): Promise<Finished> =>
      run(['push', ...args, '--registry-url', registry.url, '--repository-prefix', 'fw']);

    it('uploads in one piece, and it is served', async () => {
      expect(await push('esp32', '1.0.0', espFile)).toMatchObject({ code: 0 });
      expect(await (await service.version('esp32')).text()).toBe(versionBody('1.0.0', esp));
      expect(await push('esp32', '1.0.0', espFile)).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^Already there/),
      });
      expect((await push('esp32', '1.0.0', plainFile)).code).toBe(1);
      expect(await push('esp32', '1.1.0', plainFile)).toMatchObject({ code: 0 });
      expect(await (await service.version('esp32')).text()).toBe(versionBody('1.1.0', plain));
    });

    it('uploads what is large in chunks, and it is served to the byte', async () => {
      expect(await push('linux', '1.0.0', file('large.bin', large))).toMatchObject({ code: 0 });
      const bytes = Buffer.from(await (await service.firmware('linux')).arrayBuffer());
      expect(bytes.equals(large)).toBe(true);
    });

    itWith(['oras'], 'writes what oras reads, and reads what oras writes', async () => {
      const host = registry.url.replace('http://', '');
      await push('tools', '1.0.0', espFile);
      const out = mkdtempSync(join(folder, 'pull-'));
      runProgram('oras', ['pull', '--plain-http', '-o', out, `${host}/fw/tools:1.0.0`]);
      expect(readFileSync(join(out, 'firmware.bin')).equals(esp)).toBe(true);
      runProgram('oras', ['push', '--plain-http', `${host}/fw/tools:2.0.0`, 'plain.bin'], folder);
      expect(await (await service.version('tools')).text()).toBe(versionBody('2.0.0', plain));
    });
  },
  true,
);
