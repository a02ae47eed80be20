import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  OtaError,
  parseManifest,
  Registry,
  ReleaseService,
  type Descriptor,
  type Digest,
  type FetchedManifest,
} from '../../src/index.js';
import { sha256 } from '../support/fake-registry.js';
import { TestService } from '../support/service.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What a device takes does not depend on their number. */
const KNOWN = 30_000;

const FIRMWARE = Buffer.from('firmware');
const MANIFEST = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(Buffer.from('{}')), size: 2 },
    layers: [{ mediaType: 'application/octet-stream', digest: sha256(FIRMWARE), size: FIRMWARE.length }],
  }),
);

/** A registry in which every `known-N` has firmware and nothing else does. */
class EndlessRegistry extends Registry {
  override listTags(repository: string): Promise<string[]> {
    return repository.startsWith('known-')
      ? Promise.resolve(['1.0.0'])
      : Promise.reject(new OtaError('absent', 'no such repository'));
  }
  override resolve(): Promise<Descriptor> {
    return Promise.resolve({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: sha256(MANIFEST) as Digest,
      size: MANIFEST.length,
    });
  }
  override fetchManifest(_repository: string, descriptor: Descriptor): Promise<FetchedManifest> {
    return Promise.resolve({ descriptor, bytes: MANIFEST, content: parseManifest(MANIFEST, descriptor.mediaType) });
  }
  override fetchBlob(): Promise<Readable> {
    return Promise.resolve(Readable.from([FIRMWARE]));
  }
  override listReferrers(): Promise<Descriptor[]> {
    return Promise.resolve([]);
  }
  override ping(): Promise<void> {
    return Promise.resolve();
  }
}

describe('memory', () => {
  let service: TestService;
  let releases: ReleaseService;

  beforeAll(async () => {
    service = await TestService.start(
      { REGISTRY_URL: 'oci:unused', LOG_LEVEL: 'error' },
      { registry: EndlessRegistry },
    );
    releases = service.service.app.get(ReleaseService, { strict: false });
  });
  afterAll(() => service.stop());

  const ask = async (ids: string[]): Promise<void> => {
    for (let i = 0; i < ids.length; i += 500)
      await Promise.all(
        ids.slice(i, i + 500).map(async (id) => {
          try {
            await releases.current(id);
          } catch (error) {
            expect(error).toMatchObject({ code: 'absent' });
          }
        }),
      );
    service.logs.length = 0;
  };
  const heapBytes = (): number => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const ids = (prefix: string, count: number, from = 0): string[] =>
    Array.from({ length: count }, (_value, i) => `${prefix}-${from + i}`);

  it('is bounded for known devices: under 3 KB each', async () => {
    await ask(ids('known', 1000));
    const before = heapBytes();
    await ask(ids('known', KNOWN - 1000, 1000));
    expect(releases.knownCount).toBe(KNOWN);
    expect((heapBytes() - before) / (KNOWN - 1000)).toBeLessThan(3000);
  });

  it('is flat for any number of ids that are made up, which push out no known device', async () => {
    await ask(ids('made-up', 12_000));
    const before = heapBytes();
    await ask(ids('made-up', 20_000, 12_000));
    expect(heapBytes() - before).toBeLessThan(5_000_000);
    expect(releases.knownCount).toBe(KNOWN);
    expect(await service.versionOf(`known-${KNOWN - 1}`)).toBe('1.0.0');
  });
});
