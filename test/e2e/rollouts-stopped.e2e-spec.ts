import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Clock } from '../../src/clock.js';
import { Fleet } from '../../src/fleet/index.js';
import { RolloutRunner } from '../../src/rollout/index.js';
import { DdiUnit } from '../support/clients/ddi.js';
import { DIALECTS, PRODUCT } from '../support/clients/dialects.js';
import { MenderUnit, type Deployment } from '../support/clients/mender.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { artifactOf } from '../support/mender-artifact.js';
import { pushPlan } from '../support/push-plan.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';
import { unitsBetween } from '../support/shares.js';

const NOW = Date.UTC(2026, 10, 25, 9);
const plan = (serial = 1, more = ''): string => `
serial: ${serial}
channels: { stable: { versions: ">=1.0.0" } }
rollouts:
  - version: 1.1.0
    starts: 2026-11-25T08:00:00Z
    stages: [{ percent: 10, for: 30d }]
    halt: { failed: 20%, least: 1 }
${more}
`;
const YANKED = plan(2, 'yanked: [1.1.0]');
const [unit = '', other = ''] = unitsBetween(PRODUCT, '1.1.0', 0, 10, 2);
const registry = new FakeRegistry();
let service: TestService;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
afterEach(async () => {
  await service.stop();
  registry.remove(PRODUCT);
});

const start = async (file: string, bytes: (version: string) => Buffer, options: TestOptions = {}): Promise<void> => {
  for (const version of ['1.0.0', '1.1.0']) registry.pushFiles(PRODUCT, version, { [file]: bytes(version) });
  pushPlan(registry, PRODUCT, plan());
  service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', ...options });
  service.service.get(Clock).nowMs = () => NOW;
};
const firmware = (version: string): Buffer => firmwareBytes(50_000, version);
/** Makes another unit fail, so that the rollout is halted. */
const halt = async (): Promise<void> => {
  const fleet = service.service.get(Fleet);
  const digest = registry.repository(PRODUCT).tags.get('1.1.0') ?? '';
  fleet.offered({ product: PRODUCT, unit: other }, 'native', { version: '1.1.0', manifestDigest: digest });
  await fleet.report({ product: PRODUCT, unit: other }, 'native', { outcome: 'failed' });
  service.service.get(RolloutRunner).lookAtDue();
  await until(() => service.events('rollout.halted').length > 0, 'the halt');
};
/** How a version that is offered is stopped. */
const STOPS: readonly (readonly [string, () => Promise<void>])[] = [
  ['halted', halt],
  [
    'yanked',
    () => {
      pushPlan(registry, PRODUCT, YANKED);
      return Promise.resolve();
    },
  ],
];

describe.each(STOPS)('a version that is %s while DDI units are offered it', (_how, stop) => {
  const ddi = (name = unit): DdiUnit => new DdiUnit(() => service, name, PRODUCT);
  beforeEach(() => start('app.swu', firmware));

  it('is cancelled, and the unit goes on with what it gets instead', async () => {
    await ddi().configure({ version: '0.9.0' });
    const id = await ddi().action();
    await ddi().feedback(id, 'proceeding');
    await stop();
    expect(await ddi().link()).toBe(`cancelAction/${id}`);
    expect(await ddi().cancelFeedback(id, 'closed')).toBe(200);
    const next = (await ddi().link()) ?? '';
    expect(next).toMatch(/^deploymentBase\//);
    expect(next).not.toBe(`deploymentBase/${id}`);
    expect(await (await ddi().send('GET', `/${next}`)).text()).toContain('"version":"1.0.0"');
  });

  it('is still downloaded by a unit that has begun, until it has heard of the cancellation', async () => {
    const id = await ddi().action();
    await stop();
    const client = await RawClient.open(service.port);
    const target = `${ddi().base}/softwaremodules/${id}/artifacts/app.swu`;
    const { body } = await client.request(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    client.close();
    expect(body.equals(firmware('1.1.0'))).toBe(true);
  });

  it('stays installed where it is installed', async () => {
    const id = await ddi().action();
    await ddi().feedback(id, 'closed', 'success');
    await stop();
    const link = await ddi().link();
    // Who runs a yanked version gets what its channel says. A halted one stays.
    expect(link === undefined).toBe(_how === 'halted');
  });
});

describe.each(STOPS)('a version that is %s while Mender devices are offered it', (_how, stop) => {
  it.each(['mcu', 'cpp'] as const)('is aborted by %s', async (client) => {
    await start('app.mender', (version) => artifactOf(version, [PRODUCT], firmware(version)));
    const mender = new MenderUnit(service.port, {
      client,
      identity: { mac: unit },
      deviceType: PRODUCT,
      artifactName: 'factory',
    });
    expect(await mender.update({ during: stop })).toBe('aborted');
    const { artifact } = JSON.parse((await mender.next()).body.toString()) as Deployment;
    expect(artifact.artifact_name).toBe('1.0.0');
  });
});

describe.each(STOPS)('a version that is %s', (how, stop) => {
  const why =
    how === 'halted' ? 'its rollout is halted: 1 of 1 installs failed (100%), the limit is 20%' : 'it is yanked';
  const refused = `${PRODUCT} 1.1.0 is not served any more: ${why}`;

  it('is not served by its version either', async () => {
    await start('app.bin', firmware);
    await service.version(PRODUCT);
    const named = (): Promise<Response> => service.firmware(`${PRODUCT}&version=1.1.0`);
    expect((await named()).status).toBe(200);
    await stop();
    await service.version(PRODUCT);
    const answer = await named();
    expect([answer.status, await answer.text()]).toEqual([404, refused]);
    expect((await service.firmware(`${PRODUCT}&version=1.0.0`)).status).toBe(200);
  });

  it('is delivered on the connection on which it was offered: the device would take a refusal for firmware', async () => {
    await start('app.bin', firmware);
    const client = await RawClient.open(service.port);
    const get = async (path: string): Promise<Buffer> =>
      (await client.request(`GET ${path}?device=${PRODUCT}&unit=${unit} HTTP/1.1\r\nHost: x\r\n\r\n`)).body;
    expect((await get('/version')).toString()).toMatch(/^1\.1\.0\n/);
    await stop();
    expect((await get('/firmware')).equals(firmware('1.1.0'))).toBe(true);
    expect((await get('/version')).toString()).toMatch(/^1\.0\.0\n/);
    expect((await get('/firmware')).equals(firmware('1.0.0'))).toBe(true);
    client.close();
  });

  it.each(['swupdate', 'rauc', 'esphome'])('is not served by a link of %s either', async (name) => {
    const dialect = DIALECTS[name]!;
    await start(dialect.file, dialect.bytes);
    expect(await dialect.poll(service, unit, { running: '1.0.0' })).toBe('1.1.0');
    const suffix = { swupdate: '.swu', rauc: '.raucb', esphome: '.bin' }[name] ?? '';
    const link = `/${name}/${PRODUCT}/1.1.0${suffix}?unit=${unit}`;
    expect((await service.fetch(link)).status).toBe(200);
    await stop();
    await dialect.poll(service, unit, { running: '1.0.0' });
    const client = await RawClient.open(service.port);
    const { status } = await client.request(`GET ${link} HTTP/1.1\r\nHost: x\r\n\r\n`);
    client.close();
    expect(status).toBe(404);
  });
});

describe('a unit that downloads a release completely', () => {
  const downloads: Readonly<Record<string, (unit: string) => Promise<unknown>>> = {
    native: (name) =>
      service.fetch(`/firmware?device=${PRODUCT}&unit=${name}&running=1.0.0`).then((a) => a.arrayBuffer()),
    swupdate: async (name) => {
      await service.fetch(`/swupdate/${PRODUCT}?unit=${name}&running=1.0.0`).then((a) => a.arrayBuffer());
    },
    // Its poll is the download.
    arduino: () => Promise.resolve(),
  };

  it.each(Object.entries(downloads))(
    'and comes back with the old version three times has failed: %s',
    async (name, download) => {
      const dialect = DIALECTS[name]!;
      await start(dialect.file, dialect.bytes);
      const fleet = service.service.get(Fleet);
      for (let times = 0; times < 3; times++) {
        expect(await dialect.poll(service, unit, { running: '1.0.0' })).toBe('1.1.0');
        await download(unit);
        await until(async () => {
          await fleet.flush();
          return (await fleet.find({ product: PRODUCT, unit }))?.downloaded !== undefined;
        }, 'the download');
      }
      await dialect.poll(service, unit, { running: '1.0.0' });
      await until(async () => {
        await fleet.flush();
        return (await fleet.find({ product: PRODUCT, unit }))?.outcome?.outcome === 'failed';
      }, 'the failure');
      expect(await dialect.poll(service, unit, { running: '1.0.0' })).toBeUndefined();
      service.service.get(RolloutRunner).lookAtDue();
      expect(service.events('rollout.halted')).toHaveLength(1);
    },
  );
});
