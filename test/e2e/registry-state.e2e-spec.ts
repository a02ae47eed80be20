import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NEVER, type Observable } from 'rxjs';
import { FirmwareStore } from '../../src/cache/index.js';
import { OtaError } from '../../src/errors.js';
import { SignatureVerifier } from '../../src/signature/index.js';
import { error, FakeRegistry, type Kind } from '../support/fake-registry.js';
import { TestService, until } from '../support/service.js';

const NO_ROOM = 'no room in the cache for firmware of 3 bytes';
const NO_ROOT = 'the trusted root of Sigstore cannot be fetched: ENOTFOUND';

class FullStore extends FirmwareStore {
  override find(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  override async put(source: Parameters<FirmwareStore['put']>[0]): Promise<never> {
    for await (const piece of source.open()) expect(piece.length).toBeGreaterThan(0);
    throw new OtaError('unavailable', NO_ROOM);
  }

  override open(): undefined {
    return undefined;
  }

  override has(): boolean {
    return false;
  }

  override hold(): void {
    return;
  }
}

class RootlessVerifier extends SignatureVerifier {
  override get changes(): Observable<void> {
    return NEVER;
  }

  override verify(): Promise<never> {
    return Promise.reject(new OtaError('unavailable', NO_ROOT));
  }

  override stillTrusts(): boolean {
    return true;
  }
}

interface Ready {
  readonly details: {
    readonly registry: { readonly state: string };
    readonly refreshes: { readonly failure: { readonly code: string; readonly reason: string } | null };
  };
}

describe('What health says of the registry', () => {
  let registry: FakeRegistry;
  let service: TestService;

  beforeEach(async () => {
    registry = await new FakeRegistry().start();
    registry.push('esp32', '1.0.0', Buffer.from('one'));
  });
  afterEach(async () => {
    await service.stop();
    await registry.stop();
  });

  const start = async (parts: Parameters<typeof TestService.start>[1] = {}): Promise<void> => {
    service = await TestService.start(
      { REGISTRY_URL: registry.url, REGISTRY_TIMEOUT: '1s', REFRESH_INTERVAL: '0' },
      parts,
    );
  };
  const ready = async (): Promise<Ready['details']> =>
    ((await service.management.get('/health/ready')).body as Ready).details;

  it.each([
    ['a full cache', NO_ROOM, { store: FullStore }],
    ['a missing trusted root', NO_ROOT, { verifier: new RootlessVerifier() }],
  ])('is not that it is down because of %s, which is named', async (_name, reason, parts) => {
    await start(parts);
    await expect(service.versionOf('esp32')).resolves.toBe(503);
    expect(await ready()).toMatchObject({
      registry: { state: 'up' },
      refreshes: { failure: { code: 'unavailable', reason } },
    });
    expect(service.events('refresh.failed')).toMatchObject([{ code: 'unavailable', reason }]);
    const status = await service.management.get('/status').expect(200);
    expect(status.body).toMatchObject({ registry: { state: 'up' } });
  });

  it.each<Kind>(['tags', 'manifest', 'blob'])(
    'is that it is down when it answers 503 to %s, until it answers',
    async (kind) => {
      await start();
      registry.fault = (_request, response, asked) => {
        if (asked === kind) error(response, 503, 'UNAVAILABLE');
        return asked === kind;
      };
      await expect(service.versionOf('esp32')).resolves.toBe(503);
      expect(await ready()).toMatchObject({
        registry: { state: 'down' },
        refreshes: { failure: { code: 'unavailable' } },
      });
      registry.fault = () => false;
      await until(async () => (await service.versionOf('esp32')) === '1.0.0', 'the release');
      expect(await ready()).toMatchObject({ registry: { state: 'up' }, refreshes: { failure: null } });
    },
  );

  it('is that it is down when it is gone', async () => {
    await start();
    await registry.stop();
    await expect(service.versionOf('esp32')).resolves.toBe(503);
    expect(await ready()).toMatchObject({ registry: { state: 'down' } });
  });

  it('ends with the service: no connection stays open', async () => {
    await start();
    await service.versionOf('esp32');
    expect(registry.connections).toBeGreaterThan(0);
    await service.stop();
    await until(() => registry.connections === 0, 'the last connection', 3_500);
  });
});
