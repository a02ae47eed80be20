import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { firmwareBytes } from '../support/bytes.js';
import { MenderUnit, type Deployment, type MenderOptions } from '../support/clients/mender.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { artifactOf } from '../support/mender-artifact.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type LogLine, type TestOptions } from '../support/service.js';

const MAC = '24:6f:28:aa:bb:cc';
const first = artifactOf('rel-1', ['h3board', 'other'], firmwareBytes(20_000, 'first'));
const second = artifactOf('rel-2', ['h3board', 'other'], firmwareBytes(30_000, 'second'));
const third = artifactOf('rel-3', ['h3board'], firmwareBytes(10_000, 'third'));
const foreign = artifactOf('rel-4', ['h4board'], firmwareBytes(10_000, 'foreign'));
const fourth = artifactOf('rel-5', ['h3board'], firmwareBytes(10_000, 'fourth'));

describe.each(['mcu', 'cpp'] as const)('a unit with the Mender client %s', (client) => {
  const registry = new FakeRegistry();
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.fault = () => false;
    registry.push('h3board', '1.0.0', first);
  });
  afterEach(async () => {
    await service.stop();
    registry.remove('h3board');
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      LOG_LEVEL: 'debug',
      ...options,
    });
  };
  const unit = (options: Partial<MenderOptions> = {}): MenderUnit =>
    new MenderUnit(service.port, {
      client,
      identity: { mac: MAC },
      deviceType: 'h3board',
      artifactName: 'factory',
      ...options,
    });
  const offered = (version: string): Promise<void> =>
    until(async () => (await service.versionOf('h3board')) === version, `version ${version}`);
  const outcomes = (): string[] =>
    service.logs
      .filter(({ event }) => /^unit\.(?:installed|failed|rejected)$/.test(event ?? ''))
      .map(({ event = '', unit: name, version }) => `${event} ${String(name)} ${String(version)}`);

  it('lives through a life: unknown, offered, cut, resumed, installed, up to date, updated, wrong hardware, failed, registry away', async () => {
    registry.remove('h3board');
    await start({ WEBHOOK_SECRET: 'a-secret-of-16-characters' });
    const device = unit();
    // 1. Nothing known.
    expect(await device.update()).toBe('no update');
    registry.push('h3board', '1.0.0', first);
    const token = '?token=a-secret-of-16-characters';
    await service.api.post(`/webhooks/generic${token}`).send({ repository: 'h3board' }).expect(200);
    await offered('1.0.0');
    // 2. Offered.
    const { id, artifact } = JSON.parse((await device.next()).body.toString()) as Deployment;
    expect(artifact).toMatchObject({ artifact_name: 'rel-1', device_types_compatible: ['h3board', 'other'] });
    // 3. Cut in the middle, 4. resumed.
    expect(await device.update({ cutAfter: 10_000 })).toBe('cut');
    expect(await device.download(artifact.source.uri, undefined, 10_240)).toEqual(first.subarray(10_240));
    // The client finds nothing new to ask about it, and goes on with the same deployment.
    expect(JSON.parse((await device.next()).body.toString())).toMatchObject({ id });
    // 5. Installed.
    expect(await device.update()).toBe('installed');
    expect(device.installed).toEqual(first);
    // 6. Up to date.
    expect(await device.update()).toBe('no update');
    // 7. A newer one.
    registry.push('h3board', '1.1.0', second);
    await offered('1.1.0');
    expect(await device.update()).toBe('installed');
    expect(device.artifactName).toBe('rel-2');
    // 8. For other hardware.
    registry.push('h3board', '1.2.0', foreign);
    await offered('1.2.0');
    expect(await device.update()).toBe('no update');
    expect(service.events('mender.wrong_type')).toHaveLength(1);
    // 9. One that does not install. It is not offered again; the next one is.
    registry.push('h3board', '1.3.0', third);
    await offered('1.3.0');
    expect(await device.update({ breaks: true })).toBe('failed');
    expect(await device.update()).toBe('no update');
    registry.push('h3board', '1.4.0', fourth);
    await offered('1.4.0');
    // 10. The registry is away.
    registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
    expect(await device.update()).toBe('installed');
    expect(await device.update()).toBe('no update');
    expect(outcomes()).toEqual([
      `unit.installed ${MAC} 1.0.0`,
      `unit.installed ${MAC} 1.1.0`,
      `unit.failed ${MAC} 1.3.0`,
      `unit.installed ${MAC} 1.4.0`,
    ]);
  });

  it('asks by v1 and gets the same', async () => {
    await start();
    const device = unit();
    await device.login();
    const [v2, v1] = [await device.next(), await device.nextV1()].map(
      ({ status, body }) => [status, (JSON.parse(body.toString()) as Deployment).id] as const,
    );
    expect(v1).toEqual(v2);
    const post = await device.exchange(
      'POST',
      '/api/devices/v1/deployments/device/deployments/next',
      JSON.stringify({ artifact_name: 'rel-1', device_type: 'h3board' }),
    );
    expect(post.status).toBe(204);
  });

  it('takes stepping stones, whatever the names of their artifacts', async () => {
    const pushAfter = (version: string, bytes: Buffer, requires: string): unknown =>
      registry.pushFiles('h3board', version, { 'a.mender': bytes }, { manifest: { 'vnd.otaflux.requires': requires } });
    pushAfter('1.1.0', second, '>=1.0.0');
    pushAfter('1.2.0', third, '>=1.1.0');
    await start();
    const device = unit();
    for (const [name, version] of [
      ['rel-1', '1.0.0'],
      ['rel-2', '1.1.0'],
      ['rel-3', '1.2.0'],
    ]) {
      expect([name, await device.update()]).toEqual([name, 'installed']);
      expect(device.artifactName).toBe(name);
      expect(outcomes().at(-1)).toBe(`unit.installed ${MAC} ${version}`);
    }
    expect(await device.update()).toBe('no update');
    // One that came with a stepping stone from the factory.
    const other = unit({ identity: { mac: 'other' }, artifactName: 'rel-1' });
    expect(await other.update()).toBe('installed');
    expect(other.artifactName).toBe('rel-2');
  });

  it('gets what it was offered, also where no further download may start', async () => {
    registry.push('big', '1.0.0', firmwareBytes(40_000_000, 'big'));
    await start({ MAX_DOWNLOADS: '1' });
    const device = unit();
    await device.login();
    const { artifact } = JSON.parse((await device.next()).body.toString()) as Deployment;
    const slow = await RawClient.open(service.port);
    slow.socket.pause();
    slow.send('GET /firmware?device=big HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(async () => (await service.versionOf('h3board')) === 503, 'the limit');
    expect(await device.download(artifact.source.uri)).toEqual(first);
    const { pathname, search } = new URL(artifact.source.uri.replace('aa%3Abb', 'aa%3Abc'));
    expect((await service.fetch(pathname + search)).status).toBe(503);
    slow.close();
    registry.remove('big');
  });

  it('aborts when its release was withdrawn, and may be offered it again', async () => {
    registry.push('h3board', '1.1.0', second);
    await start();
    const device = unit();
    const withdraw = async (): Promise<void> => {
      registry.repository('h3board').tags.delete('1.1.0');
      await offered('1.0.0');
    };
    expect(await device.update({ during: withdraw })).toBe('aborted');
    expect(outcomes()).toEqual([]);
    registry.push('h3board', '1.1.0', second);
    await offered('1.1.0');
    expect(await device.update()).toBe('installed');
  });

  it('aborts when its tag was moved, and takes the new artifact', async () => {
    await start();
    const device = unit();
    const move = async (): Promise<void> => {
      registry.push('h3board', '1.0.0', second);
      await until(
        async () => (await service.firmware('h3board')).headers.get('content-length') === String(second.length),
        'moved',
      );
    };
    expect(await device.update({ during: move })).toBe('aborted');
    expect(await device.update()).toBe('installed');
    expect(device.installed).toEqual(second);
    expect(await device.update()).toBe('no update');
  });

  it('goes on while the registry is away', async () => {
    await start();
    const device = unit();
    const away = (): Promise<void> => {
      registry.fault = (_request, response) => Boolean(response.writeHead(503).end());
      return Promise.resolve();
    };
    expect(await device.update({ during: away })).toBe('installed');
  });

  it('gets a new token after a restart, by itself', async () => {
    await start();
    const device = unit();
    expect(await device.update()).toBe('installed');
    await service.stop();
    await start();
    device.port = service.port;
    expect((await device.next()).status).toBe(401);
    expect(await device.update()).toBe('no update');
  });

  it('keeps its token over a restart with DEVICE_URL_SECRET', async () => {
    const options = { DEVICE_URL_SECRET: 'a-secret-of-16-characters', MENDER_ACCEPT: 'first-use' };
    await start(options);
    const device = unit();
    expect(await device.login()).toBe(200);
    await service.stop();
    await start(options);
    device.port = service.port;
    // The token is known, but a key that was accepted on first use is no credential.
    const { status, body } = await device.next();
    expect([status, body.toString()]).toEqual([401, expect.stringContaining('Unauthorized')]);
  });

  it('has its attributes in the fleet', async () => {
    await start();
    const device = unit();
    await device.login();
    expect((await device.inventory('PATCH', { temperature: '21' })).status).toBe(503);
    expect(
      (await device.inventory('PUT', { device_type: 'h3board', artifact_name: 'factory', serial: '17' })).status,
    ).toBe(200);
    await device.next();
    expect((await device.inventory('PATCH', { temperature: '22' })).status).toBe(200);
  });

  const lastOf = (name: string): LogLine | undefined => service.events(name).at(-1);

  it('says why it has failed', async () => {
    await start();
    const device = unit();
    await device.login();
    const { id } = JSON.parse((await device.next()).body.toString()) as Deployment;
    expect((await device.status(id, 'failure')).status).toBe(204);
    expect((await device.log(id, 'no space left')).status).toBe(204);
    expect(
      (await device.log(id, ...Array.from({ length: 5_000 }, (_value, index) => `line ${index}\n{"x":1}`))).status,
    ).toBe(204);
    expect((await device.status(id, 'failure')).status).toBe(204);
    expect(service.events('unit.failed')).toHaveLength(1);
    expect(lastOf('unit.failed')).toMatchObject({ unit: MAC, version: '1.0.0', protocol: 'mender' });
  });
});
