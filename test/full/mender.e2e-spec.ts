import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Fleet, type UnitState } from '../../src/fleet/index.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { MenderClient, menderArtifact, type MenderDevice } from '../support/mender-client.js';
import { describeWith } from '../support/real-server.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const MAC = '24:6f:28:aa:bb:cc';
const WORKS = '#!/bin/sh\nexit 0\n';
const FAILS = '#!/bin/sh\necho there is no space left >&2\nexit 1\n';

/** The package mender-client of Debian 12: the daemon of Mender 3.4. */
describeWith(['mender', 'mender-artifact', 'dbus-run-session', 'unshare'], 'mender-client', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let client: MenderClient | undefined;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.fault = () => false;
  });
  afterEach(async () => {
    await client?.stop();
    client = undefined;
    await service.stop();
    registry.remove('h3board');
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      LOG_LEVEL: 'debug',
      ACCESS_LOG: '1',
      ...options,
    });
  };
  const boot = (options: Partial<MenderDevice> = {}): MenderClient => {
    client = new MenderClient({ url: service.url, mac: MAC, deviceType: 'h3board', artifactName: 'rel-1', ...options });
    client.start();
    return client;
  };
  const push = (version: string, name: string, script = WORKS, types = ['h3board', 'other']): string =>
    registry.push('h3board', version, menderArtifact(name, types, script));
  const state = async (): Promise<UnitState | undefined> =>
    service.service.app.get(Fleet, { strict: false }).find({ product: 'h3board', unit: MAC });
  const polls = (): number =>
    service.logs.filter(({ event, path }) => event === 'device.request' && String(path).endsWith('/next')).length;
  const statuses = (): string[] =>
    service.logs
      .filter(({ event, path }) => event === 'device.request' && /\/(?:status|log)$/.test(String(path)))
      .map(({ path, status }) => `${String(path).split('/').at(-1) ?? ''} ${String(status)}`);
  const runs = (version: string): Promise<void> =>
    until(async () => (await state())?.running === version, `a unit that runs ${version}`);

  it('installs, is up to date, and installs the next release', async () => {
    push('1.1.0', 'rel-2');
    await start();
    boot();
    await until(() => service.events('unit.installed').length === 1, 'unit.installed');
    expect(service.events('unit.installed')[0]).toMatchObject({ device: 'h3board', unit: MAC, version: '1.1.0' });
    await runs('1.1.0');
    const before = polls();
    await until(() => polls() > before + 1, 'two polls');
    expect(service.events('unit.installed')).toHaveLength(1);
    push('1.2.0', 'rel-3');
    await until(() => service.events('unit.installed').length === 2, 'unit.installed again');
    await runs('1.2.0');
    expect(await state()).toMatchObject({
      protocol: 'mender',
      hardware: 'h3board',
      attributes: expect.objectContaining({ device_type: 'h3board' }) as object,
      outcome: { outcome: 'installed', version: '1.2.0' },
    });
    expect(new Set(statuses())).toEqual(new Set(['status 204']));
  });

  it('fails, says why, and is offered the next release only', async () => {
    push('1.1.0', 'rel-2', FAILS);
    await start();
    boot();
    await until(async () => (await state())?.outcome?.message !== undefined, 'the message of a failure');
    expect((await state())?.outcome).toMatchObject({
      outcome: 'failed',
      version: '1.1.0',
      message: expect.stringContaining('Update module terminated abnormally') as unknown,
    });
    expect(service.events('unit.failed')).toHaveLength(1);
    const before = polls();
    await until(() => polls() > before + 1, 'two polls');
    expect(service.events('unit.downloading')).toHaveLength(1);
    push('1.2.0', 'rel-3');
    await runs('1.2.0');
  });

  it('stops when its release was withdrawn', async () => {
    push('1.0.0', 'rel-1');
    // Long enough for the withdrawal, which happens while it installs.
    push('1.1.0', 'rel-2', '#!/bin/sh\nwhile [ ! -e /etc/mender/withdrawn ]; do sleep 0.1; done\n');
    await start();
    const daemon = boot();
    await until(() => service.events('unit.downloading').length === 1, 'unit.downloading');
    registry.repository('h3board').tags.delete('1.1.0');
    daemon.touch('withdrawn');
    await until(() => statuses().includes('status 409'), 'status 409');
    await until(() => polls() > 1, 'another poll');
    expect((await state())?.outcome).toBeUndefined();
  });

  it('says that it is installed already', async () => {
    // Another artifact with the name of the one that it runs, in the eyes of the server, is what it runs.
    push('1.1.0', 'rel-1');
    await start();
    boot();
    await runs('1.1.0');
    expect(service.events('unit.offered')).toEqual([]);
  });

  it('is not offered an artifact for other hardware', async () => {
    push('1.1.0', 'rel-2', WORKS, ['h4board']);
    await start();
    boot();
    await until(() => polls() > 1, 'two polls');
    expect(service.events('mender.wrong_type')).toHaveLength(1);
    expect(service.events('unit.offered')).toEqual([]);
  });
});
