import { describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import {
  AppModule,
  DeviceProtocol,
  type Ask,
  FirmwareStore,
  type Match,
  NotificationService,
  OtaError,
  OtaFluxModule,
  Registry,
  RegistryModule,
  ReleaseService,
  Service,
  SignatureVerifier,
  gather,
  parseManifest,
  parseSettings,
  type Descriptor,
  type DeviceRequest,
  type Digest,
  type FetchedManifest,
} from '../../src/index.js';

const FIRMWARE = Buffer.from('firmware from a bucket');
const digestOf = (bytes: Buffer): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const MANIFEST = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(Buffer.from('{}')), size: 2 },
    layers: [{ mediaType: 'application/octet-stream', digest: digestOf(FIRMWARE), size: FIRMWARE.length }],
  }),
);
const MANIFEST_DESCRIPTOR: Descriptor = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: digestOf(MANIFEST),
  size: MANIFEST.length,
};

/** What a platform team writes to serve firmware from somewhere else. */
class BucketRegistry extends Registry {
  override listTags(repository: string): Promise<string[]> {
    if (repository !== 'sensor') return Promise.reject(new OtaError('absent', `no bucket ${repository}`));
    return Promise.resolve(['4.5.6']);
  }
  override resolve(): Promise<Descriptor> {
    return Promise.resolve(MANIFEST_DESCRIPTOR);
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

/** And to speak to a client of its own. */
class GreetingProtocol extends DeviceProtocol {
  override match(_method: string, path: string): Match | undefined {
    return path === '/greeting' ? { route: '/greeting' } : undefined;
  }
  override identify(): Ask {
    return { product: 'greeting' };
  }
  override handle(_ask: Ask, request: DeviceRequest, response: ServerResponse): void {
    response.end(`hello ${request.query}`);
  }
}

describe('a platform team, through the public door alone,', () => {
  it('serves devices from a registry and in a protocol of its own', async () => {
    const environment = { REGISTRY_URL: 'oci:unused', LISTEN_ADDR: '127.0.0.1:0', METRICS_LISTEN_ADDR: '127.0.0.1:0' };
    const given = await gather({ flags: {}, environment });
    const service = await Service.start({
      given,
      settings: parseSettings(given),
      logger: false,
      registry: BucketRegistry,
      protocols: [GreetingProtocol],
    });
    try {
      const url = `http://127.0.0.1:${service.address.port}`;
      expect(await (await fetch(`${url}/version?device=sensor`)).text()).toMatch(/^4\.5\.6\n\d+\n22$/);
      expect(await (await fetch(`${url}/firmware?device=sensor`)).text()).toBe(FIRMWARE.toString());
      expect((await fetch(`${url}/version?device=other`)).status).toBe(404);
      expect(await (await fetch(`${url}/greeting?you`)).text()).toBe('hello you');
    } finally {
      await service.stop();
    }
  });

  it('hands its registry to RegistryModule.forRoot, as a class or as an object', () => {
    for (const registry of [BucketRegistry, new BucketRegistry()])
      expect(RegistryModule.forRoot({ registry }).exports).toContain(Registry);
  });
});

describe('an application of a platform team', () => {
  /** Injected as in any Nest application: by its type. */
  @Injectable()
  class Console {
    constructor(
      readonly releases: ReleaseService,
      readonly registry: Registry,
      readonly verifier: SignatureVerifier,
      readonly notifications: NotificationService,
      readonly store: FirmwareStore,
    ) {}
  }

  const parts = { registry: BucketRegistry, notifiers: [] };
  const given = {
    REGISTRY_URL: { value: 'oci:unused', where: 'REGISTRY_URL' },
  };
  it.each([
    ['AppModule', () => AppModule.forRoot({ ...parts, given })],
    ['OtaFluxModule', () => OtaFluxModule.forRoot({ ...parts, options: { REGISTRY_URL: 'oci:unused' } })],
    [
      'OtaFluxModule with options that a factory finds',
      () => OtaFluxModule.forRootAsync({ ...parts, useFactory: () => ({ REGISTRY_URL: 'oci:unused' }) }),
    ],
  ])('injects what %s exports', async (_name, module) => {
    @Module({ imports: [module()], providers: [Console] })
    class OwnModule {}

    const app = await NestFactory.create(OwnModule, { logger: false, bodyParser: false, abortOnError: false });
    try {
      await app.init();
      const { releases, registry, verifier, notifications, store } = app.get(Console);
      const release = await releases.current('sensor');
      const { signal } = new AbortController();
      expect(release.version).toBe('4.5.6');
      expect(await registry.listTags('sensor', signal)).toEqual(['4.5.6']);
      expect(await verifier.verify('sensor', MANIFEST_DESCRIPTOR, signal)).toEqual({
        trusted: true,
        signer: undefined,
      });
      expect(await notifications.tellAgain(release)).toEqual({});
      expect(store.has(release.firmware.sha256)).toBe(true);
    } finally {
      await app.close();
    }
  });
});
