import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Fleet } from '../../src/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { fotaHttp } from '../support/clients/fota-http.js';
import { nrf91 } from '../support/clients/nrf91.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService } from '../support/service.js';

const registry = new FakeRegistry();
let service: TestService;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
afterEach(async () => {
  await service.stop();
  registry.fault = () => false;
  registry.remove('tracker');
});

const image = (version: string): Buffer => firmwareBytes(200_000, version);
const push = (version: string, annotations: Record<string, string> = {}): unknown =>
  registry.pushFiles('tracker', version, { 'app.bin': image(version) }, { manifest: annotations });

/** Downloads by a client, cut in the middle and resumed; undefined if it gives up. */
const clients: [string, (target: string) => Promise<Buffer | undefined>][] = [
  [
    "Zephyr's fota_http",
    async (target) => {
      const first = await fotaHttp(service.port, target, undefined, 70_000);
      if (first.status !== 200) return undefined;
      const second = await fotaHttp(service.port, target, first);
      expect(second.status).toBe(206);
      return second.bytes;
    },
  ],
  [
    'the downloader of an nRF91',
    async (target) => {
      const first = await nrf91(service.port, target, undefined, 70_000);
      return first && nrf91(service.port, target, first);
    },
  ],
];

describe.each(clients)('a unit with %s', (_name, download) => {
  it('lives through a life: unknown, offered, cut, resumed, installed, up to date, updated, wrong hardware, failed, registry away', async () => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', REGISTRY_TIMEOUT: '3s' });
    let running = '1.0.0';
    /** One check, as a unit makes it: returns what it has installed, or why it has not. */
    const check = async (): Promise<string> => {
      const said = `device=tracker&unit=imei-1&running=${running}&hardware=rev-a`;
      const answer = await service.fetch(`/version?${said}`);
      if (!answer.ok) return `${answer.status}`;
      const [version = ''] = (await answer.text()).split('\n');
      if (version === running) return 'up to date';
      const bytes = await download(`/firmware?${said}&version=${version}`);
      if (!bytes?.equals(image(version))) return 'wrong bytes';
      running = version;
      return `installed ${version}`;
    };
    const report = (body: object): Promise<Response> =>
      service.fetch('/report?device=tracker&unit=imei-1', { method: 'POST', body: JSON.stringify(body) });
    const state = async (): Promise<string | undefined> => {
      await service.service.get(Fleet).flush();
      const found = await service.service.get(Fleet).find({ product: 'tracker', unit: 'imei-1' });
      return found?.outcome && `${found.outcome.outcome} ${found.outcome.version ?? ''}`;
    };

    expect(await check()).toBe('404');
    push('1.1.0');
    // Unknown devices are remembered for ten seconds, unless an operator or a webhook says otherwise.
    await service.management.post('/notify').query({ device: 'tracker' });
    expect(await check()).toBe('installed 1.1.0');
    expect(await check()).toBe('up to date');
    expect(await state()).toBe('installed 1.1.0');
    push('1.2.0');
    expect(await check()).toBe('installed 1.2.0');
    push('1.3.0', { 'vnd.otaflux.hardware': 'rev-b' });
    expect(await check()).toBe('404');
    push('1.4.0');
    expect(await check()).toBe('installed 1.4.0');
    // It does not start, and the unit goes back to what it ran before.
    running = '1.2.0';
    expect((await report({ outcome: 'failed', message: 'image did not boot', running })).status).toBe(204);
    expect(await state()).toBe('failed 1.4.0');
    registry.fault = (request) => {
      request.socket.destroy();
      return true;
    };
    running = '1.4.0';
    expect(await check()).toBe('up to date');
    running = '1.2.0';
    expect(await check()).toBe('installed 1.4.0');
  });
});

it('gives an nRF91 a 1 MB image in 600 ranges, without a request to the registry', async () => {
  service = await TestService.start({ REGISTRY_URL: registry.url });
  registry.pushFiles('tracker', '1.0.0', { 'app.bin': firmwareBytes(960_000) });
  await service.version('tracker');
  const before = registry.count('tags') + registry.count('manifest') + registry.count('blob');
  const bytes = await nrf91(service.port, '/firmware?device=tracker');
  expect(bytes?.equals(firmwareBytes(960_000))).toBe(true);
  expect(registry.count('tags') + registry.count('manifest') + registry.count('blob')).toBe(before);
});
