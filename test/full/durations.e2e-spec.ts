import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until } from '../support/service.js';
import { sample } from '../support/extent.js';

/** What a timer of Node takes is 24.8 days; what an unsigned 32-bit number holds is 49.7. */
const LONG = sample(['25d', '50d', '365d'], 2);
const FIRMWARE = Buffer.alloc(16 * 1024 * 1024, 'firmware');

describe('Durations that no timer of Node can count', () => {
  let registry: FakeRegistry;
  let service: TestService | undefined;

  beforeEach(async () => {
    registry = await new FakeRegistry().start();
    registry.push('esp32', '1.0.0', Buffer.from('one'));
  });
  afterEach(async () => {
    await service?.stop();
    service = undefined;
    await registry.stop();
  });

  async function start(options: Record<string, string>): Promise<TestService> {
    return (service = await TestService.start({ REGISTRY_URL: registry.url, ...options }));
  }

  it.each(LONG)('REFRESH_INTERVAL=%s with WATCH asks the registry once', async (REFRESH_INTERVAL) => {
    await start({ REFRESH_INTERVAL, WATCH: 'esp32' });
    await until(() => registry.count('blob') > 0, 'the first look');
    const asked = registry.seen.length;
    // As many turns as an overflown timer of 1 ms would have needed to come again many times.
    const endsAt = performance.now() + 300;
    await until(() => performance.now() > endsAt, 'a moment');
    expect(registry.seen.length).toBeLessThanOrEqual(asked);
  });

  it.each(LONG)('REGISTRY_TIMEOUT=%s gives up no request', async (REGISTRY_TIMEOUT) => {
    registry.auth = { user: 'robot', password: 'secret' };
    registry.fault = (_request, response, kind) => {
      if (kind !== 'manifest') return false;
      setTimeout(() => {
        registry.fault = () => false;
        response.socket?.destroy();
      }, 50);
      return true;
    };
    const running = await start({ REGISTRY_TIMEOUT, REGISTRY_USERNAME: 'robot', REGISTRY_PASSWORD: 'secret' });
    await expect(running.versionOf('esp32')).resolves.toBe('1.0.0');
    expect(running.events('refresh.failed')).toEqual([]);
  });

  it.each(LONG)('SHUTDOWN_GRACE=%s cuts no download', async (SHUTDOWN_GRACE) => {
    registry.push('large', '1.0.0', FIRMWARE);
    const running = await start({ SHUTDOWN_GRACE });
    await running.versionOf('large');
    const client = await RawClient.open(running.port);
    client.send('GET /firmware?device=large HTTP/1.1\r\nHost: x\r\n\r\n');
    client.socket.pause();
    await until(async () => (await running.metrics()).includes('otaflux_downloads 1'), 'the download');
    const stopping = running.stop();
    service = undefined;
    client.socket.resume();
    const { body } = await client.receive();
    expect(body.equals(FIRMWARE)).toBe(true);
    client.close();
    await stopping;
  });

  it.each(LONG)('HEADERS_TIMEOUT=%s lets a slow client end its headers', async (HEADERS_TIMEOUT) => {
    const running = await start({ HEADERS_TIMEOUT });
    const client = await RawClient.open(running.port);
    client.send('GET /version?device=esp32 HTTP/1.1\r\n');
    const endsAt = performance.now() + 300;
    await until(() => performance.now() > endsAt, 'a moment');
    client.send('Host: x\r\n\r\n');
    expect((await client.receive()).status).toBe(200);
    client.close();
  });

  it.each(LONG)('MAX_STALE=%s serves while the registry is down', async (MAX_STALE) => {
    const running = await start({ MAX_STALE, REFRESH_INTERVAL: '0', REGISTRY_TIMEOUT: '1s' });
    await running.versionOf('esp32');
    await registry.stop();
    await expect(running.versionOf('esp32')).resolves.toBe('1.0.0');
  });
});
