import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixture } from '../../../test/support/fixture.js';
import { readable, type Digest } from '../../oci/index.js';
import { LayoutRegistry } from './layout-registry.js';

const never = new AbortController().signal;
const root = mkdtempSync(join(tmpdir(), 'otaflux-layout-'));
const registry = new LayoutRegistry(root);

beforeAll(() => {
  for (const name of ['esp32', 'signed-bundle', 'unsigned'])
    cpSync(fixture(`layouts/${name}`), join(root, name), { recursive: true });
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

async function content(repository: string, tag: string): Promise<Buffer> {
  const manifest = await registry.fetchManifest(repository, await registry.resolve(repository, tag));
  const layer = manifest.content.kind === 'manifest' ? manifest.content.layers[0] : undefined;
  if (!layer) throw new Error('no layer');
  return Buffer.concat((await (await registry.fetchBlob(repository, readable(layer), never)).toArray()) as Buffer[]);
}

describe('a folder of OCI image layouts', () => {
  it('lists tags and gives what they name', async () => {
    expect((await registry.listTags('esp32')).sort()).toEqual(
      ['1.0.0', '1.1.0', '1.2.0_build.5', '2.0.0-rc.1', 'dev', 'latest', 'v1.2.0'].sort(),
    );
    expect(await content('esp32', '1.0.0')).toHaveLength(65_536);
  });

  it('finds referrers by their subject, and by the fallback tag', async () => {
    const { digest } = await registry.resolve('signed-bundle', '1.0.0');
    const type = 'application/vnd.dev.sigstore.bundle.v0.3+json';
    const found = await registry.listReferrers('signed-bundle', digest, type);
    expect(found).toHaveLength(1);
    const other = `sha256:${'0'.repeat(64)}` as Digest;
    expect(await registry.listReferrers('signed-bundle', other, type)).toEqual([]);
  });

  it.each(['nope', 'esp32/nope', '..', 'esp32/..', '', 'ESP32'])('answers absent for %j', async (name) => {
    await expect(registry.listTags(name)).rejects.toMatchObject({ code: 'absent' });
  });

  it('answers absent for a tag, a digest and a blob that are not there', async () => {
    const digest = `sha256:${'0'.repeat(64)}` as Digest;
    await expect(registry.resolve('esp32', '9.9.9')).rejects.toMatchObject({ code: 'absent' });
    await expect(registry.resolve('esp32', digest)).rejects.toMatchObject({ code: 'absent' });
    await expect(registry.fetchBlob('esp32', { mediaType: 'x', digest, size: 1 }, never)).rejects.toMatchObject({
      code: 'absent',
    });
  });

  it('is unavailable, not empty, when the folder itself is not there', async () => {
    const unmounted = new LayoutRegistry(join(root, 'not-mounted'));
    await expect(unmounted.listTags('esp32')).rejects.toMatchObject({ code: 'unavailable' });
    await expect(unmounted.ping()).rejects.toMatchObject({ code: 'unavailable' });
    await expect(registry.ping()).resolves.toBeUndefined();
  });

  it('does not follow links out of the folder', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'otaflux-outside-'));
    cpSync(fixture('layouts/unsigned'), outside, { recursive: true });
    symlinkSync(outside, join(root, 'linked'));
    await expect(registry.listTags('linked')).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringContaining('is a link out of'),
    });
    symlinkSync(join(root, 'unsigned'), join(root, 'alias'));
    expect(await registry.listTags('alias')).toEqual(['1.0.0']);
    rmSync(outside, { recursive: true });
  });

  it.each<[string, (folder: string) => void, RegExp]>([
    [
      'whose index is not JSON',
      (folder) => {
        writeFileSync(join(folder, 'index.json'), '{');
      },
      /index\.json: the manifest is not valid JSON/,
    ],
    [
      'whose index is of another shape',
      (folder) => {
        writeFileSync(join(folder, 'index.json'), '{"schemaVersion":2,"manifests":[{}]}');
      },
      /malformed application/,
    ],
    [
      'of another version',
      (folder) => {
        writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
      },
      /not that of an OCI image layout 1\.0\.0/,
    ],
  ])('a layout %s is broken, and says where', async (_name, harm, message) => {
    cpSync(fixture('layouts/unsigned'), join(root, 'broken'), { recursive: true });
    harm(join(root, 'broken'));
    await expect(registry.listTags('broken')).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringMatching(message),
    });
    rmSync(join(root, 'broken'), { recursive: true });
  });

  it('lists what it understands of an index, whatever else stands in it', async () => {
    const folder = join(root, 'strange');
    cpSync(fixture('layouts/signed-bundle'), folder, { recursive: true });
    const path = join(folder, 'index.json');
    const index = JSON.parse(readFileSync(path, 'utf8')) as { manifests: { digest: string }[] };
    const before = await registry.listTags('strange');
    const subject = (await registry.resolve('strange', before[0] ?? '')).digest;
    const referrers = await registry.listReferrers('strange', subject, undefined);
    const [entry] = index.manifests;
    const strange = [null, 'x', { ...entry, digest: 'blake3:00' }, { ...entry, size: null }, { mediaType: 'a/b' }];
    const manifests = [...strange, ...index.manifests.map((own) => ({ platform: null, data: null, ...own }))];
    writeFileSync(path, JSON.stringify({ ...index, manifests }));
    expect(await registry.listTags('strange')).toEqual(before);
    expect((await registry.listReferrers('strange', subject, undefined)).length).toBe(referrers.length);
    expect(referrers.length).toBeGreaterThan(0);
  });

  it('tolerates an index that is half written once', async () => {
    const path = join(root, 'unsigned', 'index.json');
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, 50));
    const reading = registry.listTags('unsigned');
    // The reader looks again 50 ms later.
    setTimeout(() => {
      writeFileSync(path, whole);
    }, 5);
    expect(await reading).toEqual(['1.0.0']);
  });

  it('serves no blob whose bytes were changed', async () => {
    cpSync(fixture('layouts/unsigned'), join(root, 'changed'), { recursive: true });
    const manifest = await registry.fetchManifest('changed', await registry.resolve('changed', '1.0.0'));
    const layer = manifest.content.kind === 'manifest' ? manifest.content.layers[0] : undefined;
    const path = join(root, 'changed', 'blobs', ...(layer ? readable(layer).digest : '').split(':'));
    const bytes = readFileSync(path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await expect(content('changed', '1.0.0')).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringContaining('another digest'),
    });
  });

  it('reads a link to nowhere as absent', async () => {
    mkdirSync(join(root, 'dangling'));
    writeFileSync(join(root, 'dangling', 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    symlinkSync('/nowhere', join(root, 'dangling', 'index.json'));
    await expect(registry.listTags('dangling')).rejects.toMatchObject({ code: 'absent' });
  });
});
