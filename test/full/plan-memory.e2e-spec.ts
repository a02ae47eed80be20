import { afterEach, describe, expect, it } from '@jest/globals';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
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

/** What a product takes does not depend on their number. `PLANNED_PRODUCTS=100000` takes minutes. */
const PRODUCTS = Number(process.env.PLANNED_PRODUCTS ?? 20_000);

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const PLAN_TYPE = 'application/vnd.otaflux.plan.v1';
const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(Buffer.from('{}')), size: 2 };

/** A plan with all that the example of docs/plan.md has. */
const planOf = (serial: number): Buffer =>
  Buffer.from(`serial: ${serial}
channels:
  stable: { versions: ">=1.0.0 <2.0.0" }
  beta: { versions: ">=1.0.0", prereleases: true }
  lab: { version: 2.0.0-rc.3 }
default: stable
units:
  - { match: "lab-*", channel: lab }
  - { match: "24:6f:28:aa:bb:cc", version: 1.4.2 }
  - { where: { hardware: "rev-a" }, channel: stable }
rollouts:
  - version: 1.2.0
    channels: [stable]
    from: ">=1.0.0"
    starts: 2999-01-01T00:00:00Z
    stages:
      - { percent: 1, for: 1d, until: { succeeded: 98%, least: 20 } }
      - { percent: 10, for: 1d }
      - { percent: 50, for: 2d }
    halt: { failed: 5%, least: 20 }
    rate: 500/h
    window: { from: "01:00", to: "05:00", zone: Europe/Berlin }
    paused: false
    downgrade: false
yanked: [1.4.3]
`);

interface Stored {
  readonly manifest: Buffer;
  readonly layer: Buffer;
}

function stored(layer: Buffer, mediaType: string, artifactType?: string): Stored {
  const layers = [{ mediaType, digest: sha256(layer), size: layer.length }];
  return { layer, manifest: Buffer.from(JSON.stringify({ schemaVersion: 2, artifactType, config, layers })) };
}

/** A registry in which every product has three versions and a plan. */
class PlannedRegistry extends Registry {
  private readonly found = new Map<string, Stored>();
  private readonly versions = new Map(
    ['1.0.0', '1.1.0', '1.2.0'].map((version) => [version, stored(Buffer.from(version), 'application/octet-stream')]),
  );

  constructor(private readonly serialOf: (product: string) => number) {
    super();
  }

  override listTags(): Promise<string[]> {
    return Promise.resolve([...this.versions.keys(), 'otaflux-plan']);
  }
  override resolve(repository: string, tag: string): Promise<Descriptor> {
    const one = this.versions.get(tag) ?? stored(planOf(this.serialOf(repository)), `${PLAN_TYPE}+yaml`, PLAN_TYPE);
    const digest = sha256(one.manifest) as Digest;
    this.found.set(digest, one).set(sha256(one.layer), one);
    return Promise.resolve({ mediaType: MANIFEST_TYPE, digest, size: one.manifest.length });
  }
  override fetchManifest(_repository: string, descriptor: Descriptor): Promise<FetchedManifest> {
    const bytes = this.found.get(descriptor.digest)?.manifest ?? Buffer.alloc(0);
    return Promise.resolve({ descriptor, bytes, content: parseManifest(bytes, descriptor.mediaType) });
  }
  override fetchBlob(_repository: string, { digest }: Descriptor): Promise<Readable> {
    return Promise.resolve(Readable.from([this.found.get(digest)?.layer ?? Buffer.alloc(0)]));
  }
  override listReferrers(): Promise<Descriptor[]> {
    return Promise.resolve([]);
  }
  override ping(): Promise<void> {
    return Promise.resolve();
  }
  forget(): void {
    this.found.clear();
  }
}

describe('memory of products with plans', () => {
  let service: TestService;

  afterEach(() => service.stop());

  const heapBytes = (): number => {
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };

  it.each([
    [4, PRODUCTS, 'the same plan', () => 7],
    [4, PRODUCTS / 2, 'a plan of its own', (product: string) => Number(product.split('-')[1]) + 1],
  ])('is under %i KB for each of %i with %s', async (kilobytes, count, _name, serialOf) => {
    const registry = new PlannedRegistry(serialOf);
    service = await TestService.start({ REGISTRY_URL: 'oci:unused', LOG_LEVEL: 'error' }, { registry });
    const releases = service.service.app.get(ReleaseService, { strict: false });
    const ask = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at += 500) {
        const some = Array.from({ length: Math.min(500, to - at) }, (_value, i) => `known-${at + i}`);
        await Promise.all(some.map(async (product) => releases.current(product)));
        service.logs.length = 0;
        registry.forget();
      }
    };
    await ask(0, 1000);
    const before = heapBytes();
    await ask(1000, count);
    expect(releases.knownCount).toBe(count);
    expect(releases.catalogue(`known-${count - 1}`)?.releases).toHaveLength(2);
    const each = (heapBytes() - before) / (count - 1000);
    expect(each).toBeLessThan(kilobytes * 1024);
  });
});
