import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { copyLayout } from '../support/copy-layout.js';
import { ESP32_VERSIONS, fixture, FIXTURES } from '../support/fixture.js';
import { describeWith, DistributionServer } from '../support/real-server.js';
import { TestService, until, type TestOptions } from '../support/service.js';

/** All that `test/fixtures/README.md` says, of a service that is started by `options`. */
function servesTheFixtures(options: () => TestOptions): void {
  let service: TestService;
  beforeAll(async () => {
    service = await TestService.start(options());
  });
  afterAll(() => service.stop());

  it('covers every fixture', () => {
    expect(FIXTURES.map(({ device }) => device).sort()).toEqual(readdirSync(fixture('layouts')).sort());
  });

  it.each(FIXTURES)('$device', async (expected) => {
    const version = await service.version(expected.device);
    const firmware = await service.firmware(expected.device);
    if (expected.version === null) {
      expect([version.status, firmware.status]).toEqual([404, 404]);
      return;
    }
    expect(await version.text()).toBe(`${expected.version}\n${expected.crc}\n${expected.size}`);
    const bytes = Buffer.from(await firmware.arrayBuffer());
    expect({ size: bytes.length, sha256: hash(bytes) }).toEqual({ size: expected.size, sha256: expected.sha256 });
  });

  it.each(ESP32_VERSIONS)('esp32 $version, asked for exactly', async ({ version, sha256 }) => {
    const response = await service.firmware(`esp32&version=${version}`);
    expect(hash(Buffer.from(await response.arrayBuffer()))).toBe(sha256);
  });

  it('esp32 without pre-releases, and multi-file by title', async () => {
    const other = await TestService.start({ ...options(), PRERELEASES: 'false', FIRMWARE_FILE: 'app.bin' });
    expect(await (await other.version('esp32')).text()).toBe('1.2.0+build.5\n163057106\n65536');
    const json = (await (await other.version('multi-file', { headers: { accept: 'application/json' } })).json()) as {
      sha256: string;
    };
    expect(json.sha256).toBe('9032c343cd5af623dabff4679436b4563a916d305af8a596394eacce99a846b6');
    await other.stop();
  });
}

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('the fixtures, from a folder', () => {
  servesTheFixtures(() => ({ REGISTRY_URL: `oci:${fixture('layouts')}` }));
});

describeWith(
  ['docker-registry'],
  'the fixtures, from a CNCF Distribution registry',
  () => {
    const registry = new DistributionServer();
    beforeAll(async () => {
      await registry.start();
      for (const { device } of FIXTURES)
        await copyLayout(fixture(`layouts/${device}`), registry.url, `team/fw/${device}`);
    });
    afterAll(() => registry.stop());
    servesTheFixtures(() => ({ REGISTRY_URL: `${registry.url}/team`, REPOSITORY_PREFIX: 'fw/' }));
  },
  true,
);

describeWith(['docker-registry'], 'a CNCF Distribution registry that is killed', () => {
  const registry = new DistributionServer();
  beforeAll(() => registry.start());
  afterAll(() => registry.stop());

  it('leaves known devices served, and its pushes are seen once it is back', async () => {
    await copyLayout(fixture('layouts/unsigned'), registry.url, 'fw');
    const service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '50ms',
      REGISTRY_TIMEOUT: '1300ms',
    });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    await registry.kill();
    await until(async () => {
      expect(await service.versionOf('fw')).toBe('1.0.0');
      return service.events('refresh.failed').length > 0;
    }, 'a failed refresh');
    await registry.launch();
    await copyLayout(fixture('layouts/esp32'), registry.url, 'fw');
    await until(async () => (await service.versionOf('fw')) === '2.0.0-rc.1', 'the new release');
    await service.stop();
  });
});
