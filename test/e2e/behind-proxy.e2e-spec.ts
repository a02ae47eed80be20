import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Authority } from '../support/authority.js';
import { firmwareBytes, versionBody } from '../support/bytes.js';
import { esp32Update } from '../support/esp32-device.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { Nginx, type NginxOptions } from '../support/nginx.js';
import { RawClient } from '../support/raw-client.js';
import { describeWith } from '../support/real-server.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const old = firmwareBytes(30_000, 'old');
const next = firmwareBytes(40_000, 'next');

describeWith(['nginx', 'openssl'], 'behind nginx', () => {
  const registry = new FakeRegistry();
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-behind-nginx-'));
  let ca: Authority;
  let service: TestService;
  let nginx: Nginx;
  const open: RawClient[] = [];

  beforeAll(async () => {
    ca = new Authority(join(folder, 'pki'), 'ca');
    await registry.start();
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => {
    registry.remove('esp32');
    registry.push('esp32', '1.0.0', old);
  });
  afterEach(async () => {
    for (const client of open.splice(0)) client.close();
    await nginx.stop();
    await service.stop();
  });

  const start = async (
    { keepAlive = true, forwards = 'address', tls }: Partial<NginxOptions>,
    options: TestOptions = { TRUST_PROXY: '127.0.0.1' },
  ): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', ...options });
    nginx = await new Nginx().start({ to: service.port, keepAlive, forwards, ...(tls && { tls }) });
  };
  /** A unit with an address of its own. */
  const unit = async (from: string, tls?: ConnectionOptions): Promise<RawClient> => {
    const client = await RawClient.open(nginx.port, tls, from);
    open.push(client);
    return client;
  };
  const get = async (client: RawClient, path: string): Promise<Buffer> =>
    (await client.request(`GET ${path} HTTP/1.1\r\nHost: ota\r\n\r\n`)).body;
  const offerTo = async (client: RawClient): Promise<string> =>
    (await get(client, '/version?device=esp32')).toString('utf8');
  /** Which of the two releases a download without a version brings. */
  const downloadBy = async (client: RawClient): Promise<string> => {
    const bytes = await get(client, '/firmware?device=esp32');
    return bytes.equals(old) ? 'old' : bytes.equals(next) ? 'next' : `${bytes.length} other bytes`;
  };
  const release = (): void => {
    registry.push('esp32', '1.1.0', next);
  };

  it('gives another unit the current release, though it comes over the connection on which an older one was offered', async () => {
    await start({});
    const [one, two] = [await unit('127.0.0.2'), await unit('127.0.0.3')];
    expect(await offerTo(one)).toBe(versionBody('1.0.0', old));
    release();
    expect(await downloadBy(two)).toBe('next');
  });

  const ways: [string, Partial<NginxOptions>][] = [true, false].flatMap((keepAlive) =>
    (['address', 'address and port', 'Forwarded'] as const).map((forwards): [string, Partial<NginxOptions>] => [
      `${keepAlive ? 'with' : 'without'} kept connections to the server, forwarding ${forwards}`,
      { keepAlive, forwards },
    ]),
  );

  it.each(ways)('%s, gives each unit the release that it was offered', async (_name, options) => {
    await start(options);
    const [one, two, three] = [await unit('127.0.0.2'), await unit('127.0.0.3'), await unit('127.0.0.4')];
    expect(await offerTo(one)).toBe(versionBody('1.0.0', old));
    release();
    expect(await offerTo(two)).toBe(versionBody('1.1.0', next));
    expect(await downloadBy(one)).toBe('old');
    expect(await downloadBy(three)).toBe('next');
    expect(await downloadBy(two)).toBe('next');
    expect(await downloadBy(one)).toBe('old');
    expect(await offerTo(one)).toBe(versionBody('1.1.0', next));
    expect(await downloadBy(one)).toBe('next');
  });

  it.each(['address and port', 'Forwarded'] as const)(
    'tells units behind one NAT apart by their ports: forwarding %s',
    async (forwards) => {
      await start({ forwards });
      const [one, two, three] = [await unit('127.0.0.2'), await unit('127.0.0.2'), await unit('127.0.0.2')];
      expect(await offerTo(one)).toBe(versionBody('1.0.0', old));
      release();
      expect(await offerTo(two)).toBe(versionBody('1.1.0', next));
      expect(await downloadBy(three)).toBe('next');
      expect(await downloadBy(one)).toBe('old');
      expect(await downloadBy(two)).toBe('next');
    },
  );

  it('gives units behind one NAT the release that was offered last, where their ports are not forwarded', async () => {
    await start({});
    const [one, two] = [await unit('127.0.0.2'), await unit('127.0.0.2')];
    expect(await offerTo(one)).toBe(versionBody('1.0.0', old));
    release();
    expect(await downloadBy(two)).toBe('old');
    expect(await offerTo(two)).toBe(versionBody('1.1.0', next));
    expect(await downloadBy(one)).toBe('next');
  });

  it.each([true, false])(
    'never goes by the connection where nginx forwards no address: kept connections %s',
    async (keepAlive) => {
      await start({ keepAlive, forwards: 'nothing' });
      const [one, two] = [await unit('127.0.0.2'), await unit('127.0.0.3')];
      expect(await offerTo(one)).toBe(versionBody('1.0.0', old));
      release();
      expect(await downloadBy(two)).toBe('next');
      expect(await downloadBy(one)).toBe('next');
      expect((await get(one, '/firmware?device=esp32&version=1.0.0')).equals(old)).toBe(true);
      const warnings = service.events('proxy.client_unknown');
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatchObject({ level: 'warn', address: '127.0.0.1' });
    },
  );

  it.each(['address', 'address and port', 'Forwarded'] as const)(
    'keeps units apart on a shared connection when nginx is not trusted: forwarding %s',
    async (forwards) => {
      await start({ forwards }, {});
      const [one, two] = [await unit('127.0.0.2'), await unit('127.0.0.3')];
      expect(await offerTo(one)).toBe(versionBody('1.0.0', old));
      release();
      expect(await downloadBy(two)).toBe('next');
      expect(await downloadBy(one)).toBe('old');
    },
  );

  it.each([true, false])('updates an ESP32 client through TLS at nginx: kept connections %s', async (keepAlive) => {
    await start({ keepAlive, forwards: 'address and port', tls: ca.issue('nginx') });
    const other = await unit('127.0.0.2', { ca: ca.pem });
    const update = await esp32Update(
      nginx.port,
      'esp32',
      async () => {
        release();
        expect(await offerTo(other)).toBe(versionBody('1.1.0', next));
      },
      { ca: ca.pem },
    );
    expect(update).toMatchObject({ version: '1.0.0', size: old.length });
    expect(update.flash.equals(old)).toBe(true);
    expect(await downloadBy(other)).toBe('next');
  });

  it('works with the configuration that docs/access.md prints: addresses with ports, and certificates of devices', async () => {
    const page = readFileSync(fileURLToPath(new URL('../../docs/access.md', import.meta.url)), 'utf8');
    const printed = /```nginx\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      TRUST_PROXY: '127.0.0.1',
      DEVICE_HEADER: 'X-SSL-Client-S-DN',
      ACCESS_LOG: '1',
    });
    const server = ca.issue('nginx');
    nginx = await new Nginx().run((port) =>
      printed
        .replace('listen 443', `listen 127.0.0.1:${port}`)
        .replace('10.0.0.5:8080', `127.0.0.1:${service.port}`)
        .replace('/etc/nginx/ota.crt', server.cert)
        .replace('/etc/nginx/ota.key', server.key)
        .replace('/etc/nginx/devices-ca.crt', ca.cert),
    );
    const certificate = (name: string): ConnectionOptions => {
      const { cert, key } = ca.issue(name);
      return { ca: ca.pem, cert: readFileSync(cert), key: readFileSync(key) };
    };
    const [one, two] = [await unit('127.0.0.2', certificate('esp32')), await unit('127.0.0.2', certificate('esp32'))];
    expect(await offerTo(one)).toBe(versionBody('1.0.0', old));
    release();
    expect(await downloadBy(two)).toBe('next');
    expect(await downloadBy(one)).toBe('old');
    const other = await unit('127.0.0.2', certificate('other'));
    expect((await other.request('GET /version?device=esp32 HTTP/1.1\r\nHost: ota\r\n\r\n')).status).toBe(403);
    await until(() => service.events('device.request').length > 0, 'a line of the access log');
    expect(service.events('device.request')[0]).toMatchObject({ address: '127.0.0.2', status: 200 });
  });

  it('sends the ranges of one download from one release, though a newer one appears among them', async () => {
    await start({ forwards: 'address and port' });
    const [one, two] = [await unit('127.0.0.2'), await unit('127.0.0.2')];
    await offerTo(one);
    const pieces: Buffer[] = [];
    for (let at = 0; at < old.length; at += 5000) {
      if (at === 10_000) {
        release();
        await offerTo(two);
      }
      const range = `Range: bytes=${at}-${at + 4999}`;
      const { status, body } = await one.request(
        `GET /firmware?device=esp32 HTTP/1.1\r\nHost: ota\r\n${range}\r\n\r\n`,
      );
      expect(status).toBe(206);
      pieces.push(body);
    }
    expect(Buffer.concat(pieces).equals(old)).toBe(true);
  });
});
