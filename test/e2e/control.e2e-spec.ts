import { afterAll, afterEach, beforeAll, expect, describe, it } from '@jest/globals';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Notifier, type ReleaseNotice } from '../../src/index.js';
import { Authority } from '../support/authority.js';
import { firmwareBytes } from '../support/bytes.js';
import { run, type Finished } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const told: ReleaseNotice[] = [];
let isAway = false;

class OwnNotifier extends Notifier {
  override readonly name = 'own';
  override publish(notice: ReleaseNotice): Promise<void> {
    if (isAway) return Promise.reject(new Error('away'));
    told.push(notice);
    return Promise.resolve();
  }
}

const registry = new FakeRegistry();
let service: TestService;

beforeAll(() => registry.start());
afterAll(() => registry.stop());
afterEach(async () => {
  await service.stop();
  told.length = 0;
  isAway = false;
  registry.fault = () => false;
  registry.auth = undefined;
  for (const name of [...registry.names()]) registry.remove(name);
});

const start = async (options: TestOptions = {}): Promise<void> => {
  service = await TestService.start(
    { REGISTRY_URL: registry.url, REPOSITORY_PREFIX: 'fw', REFRESH_INTERVAL: '1h', SHUTDOWN_GRACE: '0', ...options },
    { notifiers: [OwnNotifier] },
  );
};
const push = (device: string, version: string): string => registry.push(`fw/${device}`, version, firmwareBytes(1_000));
const command = (args: string[], env: Record<string, string> = {}): Promise<Finished> =>
  run([...args, '--url', service.managementUrl], env);

describe('otaflux status', () => {
  it('shows devices, versions, freshness and what is pending', async () => {
    await start();
    isAway = true;
    const digest = push('esp32', '1.2.3');
    push('line-1/sensor', '2.0.0');
    await service.version('esp32');
    await service.version('line-1/sensor');
    const { code, stdout, stderr } = await command(['status']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^server {4}\d+\.\d+\.\d+, up for [\d.]+s\nregistry {2}up, last answer \d{4}-.*\n/);
    expect(stdout).toMatch(/\nown {7}not connected, 2 messages pending\n/);
    expect(stdout).toMatch(/\nDEVICE +VERSION +DIGEST +BYTES +AGE +PENDING +NOTE\n/);
    expect(stdout).toMatch(new RegExp(`\\nesp32 +1\\.2\\.3 +${digest.slice(0, 19)}… +1000 +[\\d.]+s +own +-\\n`));
    expect(stdout).toMatch(/\nline-1\/sensor +2\.0\.0 /);
  });

  it('is one JSON object with --json, and only of one device when one is named', async () => {
    await start();
    push('a', '1.0.0');
    push('b', '1.0.0');
    await service.version('a');
    await service.version('b');
    const { code, stdout } = await command(['status', 'b', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      version: expect.any(String),
      uptimeSeconds: expect.any(Number),
      registry: { state: 'up', lastAnswer: expect.any(String), error: null },
      webhooks: { waiting: 0, oldestSeconds: 0 },
      notifiers: [{ name: 'own', connected: true, pending: 0 }],
      plans: [],
      devices: [
        {
          device: 'b',
          version: '1.0.0',
          digest: expect.stringMatching(/^sha256:/),
          sizeBytes: 1_000,
          ageSeconds: expect.any(Number),
          failure: null,
          passedOver: false,
          pending: [],
        },
      ],
    });
    expect((await command(['status', 'unknown'])).code).toBe(1);
  });

  it('says why a release is stale', async () => {
    await start({ REFRESH_INTERVAL: '1ms', REGISTRY_TIMEOUT: '1300ms' });
    push('a', '1.0.0');
    await service.version('a');
    registry.fault = (_request, response) => {
      response.writeHead(503).end();
      return true;
    };
    await service.version('a');
    await until(() => service.events('refresh.failed').length > 0, 'the failure');
    const { stdout } = await command(['status']);
    expect(stdout).toMatch(/\nregistry {2}down, /);
    expect(stdout).toMatch(/\na +1\.0\.0 .*503/);
  });

  it('demands the management token, and is on the management port only', async () => {
    const [first, second] = ['the-first-token-of-two', 'the-second-token-of-two'];
    await start({ MANAGEMENT_TOKEN: `${first},${second}`, WEBHOOK_SECRET: 'a-webhook-secret' });
    const hint = 'Set MANAGEMENT_TOKEN (or --management-token) to the token of the server.';
    for (const env of [{}, { WEBHOOK_SECRET: 'a-webhook-secret' }, { MANAGEMENT_TOKEN: 'a-token-of-another-server' }])
      expect(await command(['status'], env)).toEqual({
        code: 3,
        stdout: '',
        stderr: expect.stringMatching(/^otaflux: .* answered 401: the management token is (missing|wrong)\. /),
      });
    expect((await command(['status'])).stderr).toContain(hint);
    expect((await command(['status'], { MANAGEMENT_TOKEN: second })).code).toBe(0);
    expect((await command(['status'], { MANAGEMENT_TOKEN: `${first},${second}` })).code).toBe(0);
    expect((await command(['status', '--management-token', first])).code).toBe(0);
    expect((await command(['notify', 'nobody', '--management-token', second])).stderr).toContain('has no release');
    expect((await command(['notify', 'nobody'])).stderr).toContain(hint);
    // Probes need none.
    expect((await command(['health', '--registry'])).code).toBe(0);
    await service.api.get('/status').expect(404);
    await service.api.post('/notify?device=a').expect(404);
    const wrongPort = await run(['status', '--url', service.url]);
    expect(wrongPort.stderr).toContain('Use the management port in --url');
  });

  it('finds the server by the settings that the server has, and says when there is none', async () => {
    await start();
    const address = service.managementUrl.replace('http://', '');
    expect((await run(['status'], { METRICS_LISTEN_ADDR: address })).code).toBe(0);
    const none = await run(['status', '--metrics-listen-addr', '0.0.0.0:1']);
    expect(none).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^otaflux: cannot reach http:\/\/127\.0\.0\.1:1: .*connection refused/),
    });
    expect(await run(['status', '--url', 'nowhere'])).toMatchObject({
      code: 2,
      stderr: 'otaflux: --url: got "nowhere", expected a URL such as http://127.0.0.1:9090\n',
    });
    expect((await run(['status', '--metrics-listen-addr', 'nowhere'])).code).toBe(2);
  });
});

describe('otaflux health', () => {
  it('is about the registry with --registry: 1 while it cannot be used, with the reason', async () => {
    registry.auth = { user: 'robot', password: 'right' };
    await start({ REGISTRY_USERNAME: 'robot', REGISTRY_PASSWORD: 'wrong-password' });
    const refused = await command(['health', '--registry']);
    expect(refused).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^otaflux: the registry cannot be used: .*401.*\. Check --registry-username and --registry-password\n$/,
      ),
    });
    expect(refused.stderr).not.toContain('wrong-password');
    expect((await command(['health'])).code).toBe(0);
    const json = await command(['health', '--registry', '--json']);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      details: { registry: { state: 'down', error: { code: 'denied' } } },
    });
    const { code, stdout } = await command(['status']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/\nregistry {2}down, .*401/) });
    expect(stdout).toContain('. Check --registry-username and --registry-password');

    registry.auth = undefined;
    await until(async () => (await command(['health', '--registry'])).code === 0, 'the registry');
    expect(await command(['health', '--registry'])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('is 1 with --registry where there is no server, or one that answers something else', async () => {
    await start();
    expect(await run(['health', '--registry', '--url', 'http://127.0.0.1:1'])).toMatchObject({ code: 1 });
    expect(await run(['health', '--registry', '--url', registry.url])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('answered 404'),
    });
  });

  it('is 0 while the server is ready, and 1 when it is not there', async () => {
    await start();
    expect(await command(['health'])).toEqual({ code: 0, stdout: '', stderr: '' });
    const { stdout } = await command(['health', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'ok' });
    expect(await run(['health', '--url', 'http://127.0.0.1:1'])).toMatchObject({ code: 1, stdout: '' });
  });
});

describe('a wrong --url', () => {
  it.each(['ftp://x', 'localhost:9090', '127.0.0.1'])('%s is refused', async (url) => {
    expect(await run(['status', '--url', url])).toEqual({
      code: 2,
      stdout: '',
      stderr: `otaflux: --url: got ${JSON.stringify(url)}, expected a URL such as http://127.0.0.1:9090\n`,
    });
  });

  it.each([['status'], ['notify', 'esp32'], ['health', '--registry'], ['health']])(
    'of another server is said by otaflux %s',
    async (...args) => {
      const { code, stderr } = await run([...args, '--url', registry.url]);
      expect(stderr).toMatch(/ answered 404.*\. This is not the management port of OtaFlux\. Check --url\n$/);
      expect(code).toBe(args[0] === 'health' ? 1 : 3);
    },
  );

  it('with https where the server speaks http, and the reverse', async () => {
    await start();
    const url = new URL(service.managementUrl);
    expect((await run(['status', '--url', `https://${url.host}`])).stderr).toBe(
      `otaflux: cannot reach https://${url.host}: the server does not speak TLS. Use http://${url.host} in --url\n`,
    );
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-control-'));
    const { cert, key } = new Authority(folder, 'control').issue('127.0.0.1');
    const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }).listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      expect((await run(['status', '--url', `http://${host}`])).stderr).toBe(
        `otaflux: cannot reach http://${host}: the server speaks HTTPS. Use the management port in --url, or https://${host} for a proxy in front of it\n`,
      );
    } finally {
      server.close();
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a device that the server has no release for', () => {
  it('is named by otaflux status, without a table of nothing', async () => {
    await start();
    const { code, stdout, stderr } = await command(['status', 'nope']);
    expect(stdout).not.toContain('DEVICE');
    expect(stderr).toMatch(/^otaflux: the server has no release for nope\. .*otaflux list\n$/);
    expect(code).toBe(1);
  });

  it('is named by otaflux notify, with the reason of the registry', async () => {
    await start({ REGISTRY_URL: 'http://127.0.0.1:1', REGISTRY_TIMEOUT: '1s' });
    const { code, stderr } = await command(['notify', 'nope']);
    expect(stderr).toMatch(
      / answered 503: the release of nope is not known: cannot reach http:\/\/127\.0\.0\.1:1: connection refused\. Check that the registry runs/,
    );
    expect(code).toBe(3);
  });
});

describe('otaflux notify', () => {
  it('tells the current release again', async () => {
    await start();
    push('line-1/a', '1.0.0');
    await service.version('line-1/a');
    await until(() => told.length === 1, 'the first notice');
    const { code, stdout } = await command(['notify', 'line-1/a']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'line-1/a 1.0.0\nown: confirmed\n' });
    expect(told).toEqual([told[0], told[0]]);
    push('line-1/a', '1.1.0');
    const json = await command(['notify', 'line-1/a', '--json']);
    expect(JSON.parse(json.stdout)).toEqual({ device: 'line-1/a', version: '1.1.0', confirmed: { own: true } });
  });

  it('says when a broker does not confirm, and that there is no such device', async () => {
    await start();
    push('a', '1.0.0');
    await service.version('a');
    await until(() => told.length === 1, 'the first notice');
    isAway = true;
    expect(await command(['notify', 'a'])).toMatchObject({
      code: 1,
      stdout: 'a 1.0.0\nown: not confirmed yet\n',
    });
    expect(await command(['notify', 'unknown'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('unknown has no release'),
    });
    expect(await command(['notify', '../x'])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('answered 400: device: expected a device id'),
    });
    isAway = false;
    await until(() => told.length === 2, 'the notice that waited');
  });
});
