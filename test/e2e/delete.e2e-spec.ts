import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../support/cli.js';
import { copyLayout } from '../support/copy-layout.js';
import { error, FakeRegistry } from '../support/fake-registry.js';
import { fixture } from '../support/fixture.js';
import { describeWith, DistributionServer, itWith } from '../support/real-server.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

describe('otaflux delete, in a folder', () => {
  let folder: string;
  let url: string[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-delete-'));
    cpSync(fixture('layouts/esp32'), join(folder, 'esp32'), { recursive: true });
    url = ['--registry-url', `oci:${folder}`];
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const tags = (): (string | undefined)[] =>
    (
      JSON.parse(readFileSync(join(folder, 'esp32/index.json'), 'utf8')) as {
        manifests: { annotations?: Record<string, string> }[];
      }
    ).manifests.map(({ annotations }) => annotations?.['org.opencontainers.image.ref.name']);

  it('removes the tag, and says which version devices get next', async () => {
    const before = tags();
    expect(await run(['delete', 'esp32', '2.0.0-rc.1', '--yes', ...url])).toEqual({
      code: 0,
      stderr: '',
      stdout: 'Deleted esp32 2.0.0-rc.1 (tag 2.0.0-rc.1).\nDevices get 1.2.0+build.5 next.\n',
    });
    expect(tags()).toEqual(before.filter((tag) => tag !== '2.0.0-rc.1'));
  });

  it.each([
    ['1.2.0', 'v1.2.0'],
    ['v1.2.0', 'v1.2.0'],
    ['1.2.0+build.5', '1.2.0_build.5'],
    ['1.2.0_build.5', '1.2.0_build.5'],
  ])('finds %s by its version', async (version, tag) => {
    const before = tags();
    expect((await run(['delete', 'esp32', version, '-y', ...url])).code).toBe(0);
    expect(tags()).toEqual(before.filter((other) => other !== tag));
  });

  it('does nothing without --yes where no terminal is, and for a version that is not there', async () => {
    const before = tags();
    const unasked = await run(['delete', 'esp32', '1.0.0', ...url]);
    expect(unasked.code).toBe(2);
    expect(unasked.stderr).toMatch(/^otaflux: --yes is missing/);
    const absent = await run(['delete', 'esp32', '9.9.9', '--yes', ...url]);
    expect(absent.code).toBe(1);
    expect(absent.stderr).toMatch(/has no version 9\.9\.9; the newest version is 2\.0\.0-rc\.1/);
    expect((await run(['delete', 'esp32', 'latest', '--yes', ...url])).code).toBe(2);
    expect((await run(['delete', 'nope', '1.0.0', '--yes', ...url])).code).toBe(1);
    expect(tags()).toEqual(before);
  });

  itWith(['script'], 'asks on a terminal', () => {
    const before = tags();
    const answered = (answer: string): { status: number | null; stdout: string } =>
      spawnSync(
        'script',
        [
          '--quiet',
          '--return',
          '--command',
          `${process.execPath} ${MAIN} delete esp32 1.0.0 ${url.join(' ')}`,
          '/dev/null',
        ],
        { encoding: 'utf8', input: answer },
      );
    const no = answered('n\n');
    expect(no.stdout).toContain('Delete esp32 1.0.0 (tag 1.0.0)? [y/N] ');
    expect(no.status).toBe(1);
    expect(tags()).toEqual(before);
    expect(answered('y\n').status).toBe(0);
    expect(tags()).toEqual(before.filter((tag) => tag !== '1.0.0'));
  });
});

describe('otaflux delete, in a registry', () => {
  const registry = new FakeRegistry();
  let url: string[];
  beforeAll(async () => {
    await registry.start();
    url = ['--registry-url', registry.url];
  });
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.remove('esp32');
    registry.seen.length = 0;
    registry.push('esp32', '1.0.0', Buffer.from('one'));
    registry.push('esp32', '1.1.0', Buffer.from('two'));
    registry.push('esp32', 'v1.1.0', Buffer.from('two'));
  });
  const answerDeletion = (status: number, code?: string): void => {
    registry.fault = (request, response) => {
      if (request.method !== 'DELETE') return false;
      const tag = request.url?.split('/').at(-1) ?? '';
      if (code !== undefined) error(response, status, code);
      else {
        registry.repository('esp32').tags.delete(tag);
        response.writeHead(status).end();
      }
      return true;
    };
  };

  it('removes all tags of a version, and never a manifest by its digest', async () => {
    answerDeletion(202);
    expect(await run(['delete', 'esp32', '1.1.0', '--yes', ...url])).toEqual({
      code: 0,
      stderr: '',
      stdout: 'Deleted esp32 1.1.0 (tags 1.1.0, v1.1.0).\nDevices get 1.0.0 next.\n',
    });
    expect(registry.seen.filter(({ method }) => method === 'DELETE').map((seen) => seen.url)).toEqual([
      '/v2/esp32/manifests/1.1.0',
      '/v2/esp32/manifests/v1.1.0',
    ]);
    expect(await run(['delete', 'esp32', '1.0.0', '--yes', ...url])).toMatchObject({
      code: 0,
      stdout: 'Deleted esp32 1.0.0 (tag 1.0.0).\nNo version is left for devices.\n',
    });
  });

  it.each([
    [405, 'UNSUPPORTED'],
    [400, 'DIGEST_INVALID'],
    [404, 'MANIFEST_UNKNOWN'],
  ])('says what to do where a registry answers %i %s', async (status, code) => {
    answerDeletion(status, code);
    const result = await run(['delete', 'esp32', '1.0.0', '--yes', ...url]);
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expect(result.stderr).toMatch(
      new RegExp(
        `^otaflux: this registry does not delete tags\\. .*higher version.*\\(it answered ${status} ${code}.*\\)\n$`,
      ),
    );
    expect(registry.seen.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
  });

  it('says when the credentials do not allow it', async () => {
    answerDeletion(403, 'DENIED');
    const result = await run([
      'delete',
      'esp32',
      '1.0.0',
      '--yes',
      ...url,
      '--registry-username',
      'a',
      '--registry-password',
      'b',
    ]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('these credentials may not delete from it');
  });
});

describeWith(
  ['docker-registry'],
  'otaflux delete, in CNCF Distribution',
  () => {
    const server = new DistributionServer();
    beforeAll(async () => {
      await server.start();
      await copyLayout(fixture('layouts/esp32'), server.url, 'esp32');
    });
    afterAll(() => server.stop());

    it('deletes the tag, or says that this registry does not delete tags', async () => {
      const result = await run(['delete', 'esp32', '1.0.0', '--yes', '--registry-url', server.url]);
      const { tags } = (await (await fetch(`${server.url}/v2/esp32/tags/list`)).json()) as { tags: string[] };
      // Distribution 2 deletes by digest only; 3 deletes tags.
      if (result.code === 0) expect(tags).not.toContain('1.0.0');
      else {
        expect(result.stderr).toMatch(/^otaflux: this registry does not delete tags\. .*\(it answered 4\d\d .*\)\n$/);
        expect(tags).toContain('1.0.0');
      }
      expect(tags).toContain('1.1.0');
    });
  },
  true,
);
