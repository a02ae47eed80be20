import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { PrivateSigstore } from '../support/private-sigstore.js';
import { putBundles } from '../support/sign.js';
import { TestService, until } from '../support/service.js';

/** TUF makes folders of its own; ours and its are counted. */
const temporary = (): string[] => readdirSync(tmpdir()).filter((name) => /^(?:otaflux-sigstore-|tuf-tmp)/.test(name));

describe('the trusted root of the public Sigstore instance, while it cannot be fetched', () => {
  const registry = new FakeRegistry();
  let proxy: Server;
  let connections = 0;
  let service: TestService;
  let before: string[];

  beforeAll(async () => {
    await registry.start();
    proxy = createServer((socket) => {
      connections++;
      socket.on('error', () => undefined).destroy();
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    // Everything that is fetched goes through here; the library reads this once, when it is loaded.
    process.env.HTTPS_PROXY = process.env.https_proxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    process.env.NO_PROXY = process.env.no_proxy = '';
    const sigstore = await PrivateSigstore.create();
    for (let i = 0; i < 12; i++) {
      const digest = registry.push(`fw-${i}`, '1.0.0', firmwareBytes(1000));
      putBundles(registry, `fw-${i}`, digest, [await sigstore.bundle(digest)]);
    }
  });
  afterAll(async () => {
    await registry.stop();
    proxy.close();
  });
  beforeEach(async () => {
    before = temporary();
    connections = 0;
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REGISTRY_TIMEOUT: '2s',
      REFRESH_INTERVAL: '0',
      COSIGN_CERTIFICATE_IDENTITY: 'x',
      COSIGN_CERTIFICATE_OIDC_ISSUER: 'y',
    });
  });
  afterEach(() => service.stop());

  it('is asked for once by many verifications, and not again at once', async () => {
    expect(await service.versionOf('fw-0')).toBe(503);
    const once = connections;
    expect(once).toBeGreaterThan(0);
    expect(once).toBeLessThanOrEqual(9);
    const answers = await Promise.all(Array.from({ length: 11 }, (_value, i) => service.versionOf(`fw-${i + 1}`)));
    expect(new Set(answers)).toEqual(new Set([503]));
    expect(connections).toBe(once);
    await until(() => service.events('refresh.failed').length >= 12, 'all to be logged');
    expect(service.events('refresh.failed')[0]).toMatchObject({
      code: 'unavailable',
      reason: expect.stringMatching(/^the trusted root of Sigstore cannot be fetched from /),
    });
  });

  it('is asked for again after a pause', async () => {
    expect(await service.versionOf('fw-0')).toBe(503);
    const once = connections;
    await until(async () => (await service.versionOf('fw-1')) === 503 && connections > once, 'another fetch');
  });

  it('leaves no temporary folder behind', async () => {
    expect(await service.versionOf('fw-0')).toBe(503);
    expect(temporary()).toEqual(before);
  });

  it('is told as what it is: neither the registry nor a key', async () => {
    expect(await service.versionOf('fw-0')).toBe(503);
    await until(() => service.events('signature.keys_failed').length === 1, 'the failure to be told');
    const source = 'the trusted root of Sigstore';
    expect(service.events('signature.keys_failed')).toMatchObject([{ source }]);
    expect(await service.metrics()).toContain(`otaflux_signature_keys_readable{source="${source}"} 0`);
  });
});
