import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ReleaseService, type ReleaseChanged } from '../../src/firmware/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { error, FakeRegistry } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const one = firmwareBytes(50_000, 'one');
const two = firmwareBytes(60_000, 'two');

/** Freshness is told by `performance.now()`, which only these tests turn forward; timers and sockets are real. */
describe('freshness', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.remove('fw');
    registry.push('fw', '1.0.0', one);
    registry.seen.length = 0;
    jest.useFakeTimers({
      doNotFake: [
        'Date',
        'hrtime',
        'nextTick',
        'queueMicrotask',
        'setImmediate',
        'clearImmediate',
        'setInterval',
        'clearInterval',
        'setTimeout',
        'clearTimeout',
      ],
    });
  });
  afterEach(async () => {
    jest.useRealTimers();
    registry.fault = () => false;
    await service.stop();
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REGISTRY_TIMEOUT: '1300ms', ...options });
  };
  const later = (seconds: number): void => {
    jest.advanceTimersByTime(seconds * 1000);
  };
  const refreshes = (): number => registry.count('tags');

  it('asks the registry nothing while a release is fresh', async () => {
    await start();
    await service.version('fw');
    registry.seen.length = 0;
    later(29);
    for (let i = 0; i < 50; i++) expect(await service.versionOf('fw')).toBe('1.0.0');
    for (let i = 0; i < 5; i++) await (await service.firmware('fw')).arrayBuffer();
    expect(registry.asked).toHaveLength(0);
  });

  it('answers a stale release at once and refreshes it behind, by one tags list and one HEAD', async () => {
    await start();
    await service.version('fw');
    registry.seen.length = 0;
    later(31);
    for (let i = 0; i < 20; i++) expect(await service.versionOf('fw')).toBe('1.0.0');
    await until(() => registry.count('manifest') === 1, 'the refresh');
    expect(registry.asked.map(({ method, kind }) => `${method} ${kind}`)).toEqual(['GET tags', 'HEAD manifest']);
  });

  it('sees a push within one interval, and tells of the change', async () => {
    await start();
    const changes: ReleaseChanged[] = [];
    service.service.app.get(ReleaseService, { strict: false }).changes.subscribe((change) => changes.push(change));
    await service.version('fw');
    registry.push('fw', '1.1.0', two);
    later(31);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await until(async () => (await service.versionOf('fw')) === '1.1.0', 'the new release');
    expect(changes).toMatchObject([
      { device: 'fw', before: undefined, after: { version: '1.0.0' } },
      { device: 'fw', before: { version: '1.0.0' }, after: { version: '1.1.0' } },
    ]);
  });

  it('takes a moved tag for a new release', async () => {
    await start();
    await service.version('fw');
    registry.push('fw', '1.0.0', two);
    later(31);
    await service.version('fw');
    await until(async () => (await (await service.version('fw')).text()).endsWith('\n60000'), 'the moved tag');
  });

  it('goes back to the version before when a tag is deleted', async () => {
    await start();
    registry.push('fw', '2.0.0', two);
    expect(await service.versionOf('fw')).toBe('2.0.0');
    registry.repository('fw').tags.delete('2.0.0');
    later(31);
    await service.version('fw');
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the older release');
  });

  it('serves on when the whole repository vanishes, and withdraws it once it stays away', async () => {
    await start();
    await service.version('fw');
    registry.remove('fw');
    later(31);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await until(() => service.events('refresh.failed').length === 1, 'the first look');
    later(89);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await until(() => service.events('refresh.failed').length === 2, 'the second look');
    later(31);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await until(() => service.events('release.withdrawn').length === 1, 'the withdrawal');
    expect(await service.versionOf('fw')).toBe(404);
  });

  it('remembers for ten seconds that a device is not known', async () => {
    await start();
    expect(await service.versionOf('nobody')).toBe(404);
    registry.push('nobody', '1.0.0', one);
    later(9);
    expect(await service.versionOf('nobody')).toBe(404);
    expect(refreshes()).toBe(1);
    later(2);
    expect(await service.versionOf('nobody')).toBe('1.0.0');
    registry.remove('nobody');
  });

  it('fails those who wait with the true reason, and asks again after a while', async () => {
    await start();
    registry.fault = (request) => (request.socket.destroy(), true);
    expect(await service.versionOf('fw')).toBe(503);
    registry.fault = () => false;
    expect(await service.versionOf('fw')).toBe(503);
    later(2);
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('serves the last good release without limit while the registry is down', async () => {
    await start();
    await service.version('fw');
    registry.fault = (request) => (request.socket.destroy(), true);
    for (let day = 0; day < 3; day++) {
      later(86_400);
      expect(await service.versionOf('fw')).toBe('1.0.0');
      await until(() => service.logs.filter(({ event }) => event === 'refresh.failed').length > day, 'a refresh');
    }
    const age = /^otaflux_release_age_seconds\{device_id="fw"\} ([\d.]+)$/m.exec(await service.metrics())?.[1];
    expect(Number(age)).toBeGreaterThan(250_000);
  });

  it('stops serving it after MAX_STALE, and is well again with the registry', async () => {
    await start({ MAX_STALE: '1h' });
    await service.version('fw');
    registry.fault = (request) => (request.socket.destroy(), true);
    later(3500);
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await until(() => service.events('refresh.failed').length === 1, 'the failed refresh');
    later(101);
    expect(await service.versionOf('fw')).toBe(503);
    registry.fault = () => false;
    later(40);
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  it('asks for every request with REFRESH_INTERVAL=0', async () => {
    await start({ REFRESH_INTERVAL: '0' });
    for (let i = 0; i < 3; i++) await service.version('fw');
    expect(refreshes()).toBe(3);
  });

  it('leaves pre-releases out with PRERELEASES=false', async () => {
    registry.push('fw', '2.0.0-rc.1', two);
    await start({ PRERELEASES: 'false' });
    expect(await service.versionOf('fw')).toBe('1.0.0');
  });

  describe('of a version that is asked for by name', () => {
    const asked = async (): Promise<number> => {
      const response = await service.firmware('fw&version=1.0.0');
      const bytes = Buffer.from(await response.arrayBuffer());
      return response.ok && !bytes.equals(one) ? NaN : response.status;
    };
    const FAULTS: [string, number][] = ['tags', 'manifest'].flatMap((kind) =>
      [401, 403, 404, 405, 429, 500, 501].map((code): [string, number] => [kind, code]),
    );

    it.each(FAULTS)('it is served on while its %s are answered with %d, for a minute at least', async (kind, code) => {
      registry.push('fw', '2.0.0', two);
      await start();
      expect(await asked()).toBe(200);
      registry.fault = (_request, response, seen) => {
        if (seen !== kind) return false;
        error(response, code, 'NO');
        return true;
      };
      for (let seconds = 31; seconds <= 62; seconds += 31) {
        jest.advanceTimersByTime(31_000);
        expect(await asked()).toBe(200);
      }
    });

    it('it is gone when the registry has said so for three intervals', async () => {
      registry.push('fw', '2.0.0', two);
      await start();
      expect(await asked()).toBe(200);
      registry.repository('fw').tags.delete('1.0.0');
      jest.advanceTimersByTime(31_000);
      // The tag is not listed any more: that is an answer about this very version.
      expect(await asked()).toBe(404);
      registry.push('fw', '1.0.0', one);
      jest.advanceTimersByTime(31_000);
      expect(await asked()).toBe(200);
      registry.remove('fw');
      jest.advanceTimersByTime(31_000);
      expect(await asked()).toBe(200);
      jest.advanceTimersByTime(91_000);
      expect(await asked()).toBe(404);
    });
  });
});
