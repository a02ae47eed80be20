import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { firmwareBytes } from '../support/bytes.js';
import { error, FakeRegistry, json } from '../support/fake-registry.js';
import { fixture } from '../support/fixture.js';
import { describeWith, DistributionServer } from '../support/real-server.js';
import { copyLayout } from '../support/copy-layout.js';
import { TestService, until, type LogLine } from '../support/service.js';

const firmware = firmwareBytes(1_000);
const devicesOf = (lines: LogLine[]): unknown[] => lines.map(({ device }) => device).sort();

describe('WATCH', () => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    for (const name of ['fw/a', 'fw/line-1/b', 'fw/line-1/c', 'elsewhere/d']) registry.push(name, '1.0.0', firmware);
    registry.auth = { user: 'robot', password: 'secret' };
    registry.fault = (request, response) => {
      if (!request.url?.startsWith('/v2/_catalog') || request.headers.authorization === undefined) return false;
      const names = [...registry.names()].sort();
      const last = new URL(request.url, registry.url).searchParams.get('last') ?? '';
      const page = names.filter((name) => name > last).slice(0, 2);
      const more = page.length === 2 ? { Link: `</v2/_catalog?last=${page[1] ?? ''}>; rel="next"` } : {};
      json(response, 200, { repositories: page }, more);
      return true;
    };
  });
  afterAll(() => registry.stop());
  afterEach(() => service.stop());

  const start = async (watch: string): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REGISTRY_USERNAME: 'robot',
      REGISTRY_PASSWORD: 'secret',
      REPOSITORY_PREFIX: 'fw',
      WATCH: watch,
    });
  };

  it.each([
    ['a,line-1/b', ['a', 'line-1/b']],
    ['line-1/*', ['line-1/b', 'line-1/c']],
    ['all', ['a', 'line-1/b', 'line-1/c']],
  ])('%s keeps %j fresh, though nobody asks', async (watch, devices) => {
    await start(watch);
    await until(() => service.events('release.changed').length === devices.length, 'all of them');
    expect(devicesOf(service.events('release.changed'))).toEqual(devices);
    registry.seen.length = 0;
    for (const device of devices) expect(await service.versionOf(device)).toBe('1.0.0');
    expect(registry.asked).toEqual([]);
  });

  it('says once that a registry lists nothing, and keeps the named ones fresh', async () => {
    const fault = registry.fault;
    registry.fault = (request, response, kind, step) => {
      if (!request.url?.startsWith('/v2/_catalog')) return fault(request, response, kind, step);
      error(response, 404, 'NOT_FOUND');
      return true;
    };
    await start('all,a');
    await until(() => service.events('release.changed').length === 1, 'the named one');
    expect(service.events('watch.failed')).toMatchObject([
      { reason: expect.stringMatching(/does not list its repositories/) },
    ]);
    registry.fault = fault;
  });

  it('all, of a folder', async () => {
    service = await TestService.start({ REGISTRY_URL: `oci:${fixture('layouts')}`, WATCH: 'all' });
    await until(() => service.events('release.changed').length === 10, 'all fixtures with firmware');
  });
});

describeWith(['docker-registry'], 'WATCH=all, of a CNCF Distribution registry', () => {
  const registry = new DistributionServer();
  beforeAll(() => registry.start());
  afterAll(() => registry.stop());

  it('finds what is pushed', async () => {
    await copyLayout(fixture('layouts/esp32'), registry.url, 'team/fw/esp32');
    await copyLayout(fixture('layouts/unsigned'), registry.url, 'other/unsigned');
    const service = await TestService.start({
      REGISTRY_URL: `${registry.url}/team`,
      REPOSITORY_PREFIX: 'fw',
      WATCH: 'all',
    });
    await until(() => service.events('release.changed').length === 1, 'the device');
    expect(devicesOf(service.events('release.changed'))).toEqual(['esp32']);
    await service.stop();
  });
});
