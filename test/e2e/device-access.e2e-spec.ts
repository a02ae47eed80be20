import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeviceAuthenticator, type Access, type DeviceRequest, type Identity } from '../../src/index.js';
import { hashToken } from '../../src/device/access/credentials.js';
import { signedQuery } from '../../src/signed-url.js';
import { firmwareBytes } from '../support/bytes.js';
import { run } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient, type RawResponse } from '../support/raw-client.js';
import { TestService, type TestOptions } from '../support/service.js';

const firmware = firmwareBytes(5_000);

describe('who may ask for which device', () => {
  const registry = new FakeRegistry();
  let folder = '';
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    registry.push('esp32', '1.0.0', firmware);
    registry.push('line-1/sensor', '1.0.0', firmware);
  });
  afterAll(() => registry.stop());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-access-'));
  });
  afterEach(async () => {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = async (options: TestOptions): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, ...options });
  };
  const get = async (target: string, headers = ''): Promise<RawResponse> => {
    const client = await RawClient.open(service.port);
    const response = await client.request(`GET ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
    client.close();
    return response;
  };
  const statusOf = async (target: string, headers = ''): Promise<number> => (await get(target, headers)).status;

  it('can be one unit: its token, and its URL, are good for no other unit', async () => {
    const path = join(folder, 'tokens');
    const made = await run(['token', 'esp32', '--unit', 'unit 1%', '--file', path]);
    expect(made.code).toBe(0);
    expect(made.stdout.trim()).toHaveLength(32);
    expect(readFileSync(path, 'utf8')).toMatch(/^esp32#unit%201%25 sha256:[0-9a-f]{64}\n$/);
    appendFileSync(path, `esp32 sha256:${hashToken('all')}\nline-1/sensor#b sha256:${hashToken('both')}\n`);
    appendFileSync(path, `esp32#b sha256:${hashToken('both')}\n`);
    await start({ DEVICE_TOKENS_PATH: path, DEVICE_URL_SECRET: 's3cret-of-16-characters' });
    const by = (token: string): string => `Authorization: Bearer ${token.trim()}\r\n`;
    const one = by(made.stdout);
    expect(await statusOf('/version?device=esp32&unit=unit%201%25', one)).toBe(200);
    expect(await statusOf('/version?device=esp32', one)).toBe(200);
    for (const path of ['/version', '/firmware'])
      expect(await statusOf(`${path}?device=esp32&unit=unit%202`, one)).toBe(403);
    expect(await statusOf('/version?device=line-1/sensor&unit=unit%201%25', one)).toBe(403);
    expect(await statusOf('/version?device=esp32&unit=anything', by('all'))).toBe(200);
    expect(await statusOf('/version?device=esp32&unit=b', by('both'))).toBe(200);
    expect(await statusOf('/version?device=line-1/sensor&unit=b', by('both'))).toBe(200);
    expect(await statusOf('/version?device=line-1/sensor&unit=a', by('both'))).toBe(403);
    const urls = await run(['sign-url', 'esp32', '--unit', 'a&b', '--json', '--url', service.url], {
      DEVICE_URL_SECRET: 's3cret-of-16-characters',
    });
    const { version } = JSON.parse(urls.stdout) as { version: string };
    expect((await fetch(version)).status).toBe(200);
    expect((await fetch(version.replace('a%26b', 'c'))).status).toBe(403);
    expect((await fetch(version.replace('&unit=a%26b', ''))).status).toBe(403);
    const report = (unit: string): Promise<Response> =>
      fetch(`${service.url}/report?device=esp32&unit=${unit}`, {
        method: 'POST',
        headers: { authorization: 'Bearer both' },
        body: '{"outcome":"failed"}',
      });
    expect((await report('b')).status).toBe(204);
    expect((await report('a')).status).toBe(403);
    expect((await service.management.get('/units').query({ product: 'esp32', unit: 'a' })).status).toBe(404);
  });

  it('is not widened by the links that the server hands out: each is good for its own file only', async () => {
    const path = join(folder, 'tokens');
    writeFileSync(path, `esp32#b sha256:${hashToken('of-b')}\n`);
    await start({ DEVICE_TOKENS_PATH: path });
    const answer = await fetch(`${service.url}/swupdate/esp32?running=0.9.0`, {
      headers: { authorization: 'Bearer of-b' },
      redirect: 'manual',
    });
    const link = new URL(answer.headers.get('location') ?? '');
    const signature = link.search.slice(link.search.indexOf('expires='));
    expect((await fetch(link)).status).toBe(200);
    expect((await fetch(link, { headers: { range: 'bytes=10-' } })).status).toBe(206);
    for (const target of [
      '/version?device=esp32',
      '/version?device=esp32&unit=a',
      '/firmware?device=esp32',
      '/esp32/controller/v1/a?',
      '/swupdate/esp32?running=0.9.0',
    ])
      expect([target, await statusOf(`${target}&${signature}`)]).toEqual([target, 403]);
    const report = await fetch(`${service.url}/report?device=esp32&unit=a&${signature}`, {
      method: 'POST',
      body: '{"outcome":"failed"}',
    });
    expect(report.status).toBe(403);
    expect((await service.management.get('/units').query({ product: 'esp32', unit: 'a' })).status).toBe(404);
  });

  it.each(['esp32# sha256:HEX', 'esp32#%0a sha256:HEX', 'esp32#%zz sha256:HEX', 'esp32 a sha256:HEX'])(
    'is not told by a file with the line %j',
    async (line) => {
      const path = join(folder, 'tokens');
      writeFileSync(path, line.replace('HEX', hashToken('x')));
      await expect(start({ DEVICE_TOKENS_PATH: path })).rejects.toThrow(
        'line 1: expected DEVICE sha256:HEX or DEVICE#UNIT',
      );
      await start({});
    },
  );

  it('is everybody for all, by default', async () => {
    await start({});
    expect(await statusOf('/version?device=esp32')).toBe(200);
  });

  it('is told by a token, as Bearer or as the password of Basic authentication', async () => {
    const path = join(folder, 'tokens');
    writeFileSync(path, `# devices\nesp32 sha256:${hashToken('first')}\nesp32 sha256:${hashToken('second')}\n`);
    await start({ DEVICE_TOKENS_PATH: path });
    const basic = (token: string): string =>
      `Authorization: Basic ${Buffer.from(`esp32:${token}`).toString('base64')}\r\n`;
    expect(await statusOf('/version?device=esp32', 'Authorization: Bearer first\r\n')).toBe(200);
    expect(await statusOf('/firmware?device=esp32', 'Authorization: Bearer second\r\n')).toBe(200);
    expect(await statusOf('/version?device=esp32', basic('first'))).toBe(200);
    expect(await statusOf('/version?device=esp32', basic('wrong'))).toBe(401);
    expect(await statusOf('/version?device=esp32', 'Authorization: Bearer\r\n')).toBe(401);
    expect(await statusOf('/firmware?device=line-1/sensor', 'Authorization: Bearer first\r\n')).toBe(403);
    const refused = await get('/version?device=esp32');
    expect(refused).toMatchObject({ status: 401, body: Buffer.from('Unauthorized') });
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="otaflux"');
    expect(refused.headers.get('connection')).toBe('close');
    expect(refused.head.length).toBeLessThan(400);
    // What is no device is told first, and probes are for all.
    expect(await statusOf('/version')).toBe(400);
    expect(await statusOf('/health')).toBe(200);
    expect(await service.metrics()).toMatch(/otaflux_device_denied_total\{reason="unknown"\} 3/);
  });

  it('is told by tokens that otaflux token makes', async () => {
    const path = join(folder, 'tokens');
    const { stdout } = await run(['token', 'esp32', '--file', path]);
    const other = JSON.parse((await run(['token', 'line-1/sensor', '--json'])).stdout) as {
      token: string;
      line: string;
    };
    appendFileSync(path, `${other.line}\n`);
    expect(readFileSync(path, 'utf8')).not.toContain(stdout.trim());
    await start({ DEVICE_TOKENS_PATH: path });
    expect(await statusOf('/version?device=esp32', `Authorization: Bearer ${stdout.trim()}\r\n`)).toBe(200);
    expect(await statusOf('/version?device=line-1/sensor', `Authorization: Bearer ${other.token}\r\n`)).toBe(200);
    expect((await run(['token', 'No Device'])).code).toBe(2);
  });

  it('is asked before the limit of a device is touched, so that no stranger uses it up', async () => {
    const path = join(folder, 'tokens');
    writeFileSync(path, `esp32 sha256:${hashToken('first')}\n`);
    await start({ DEVICE_TOKENS_PATH: path, DEVICE_RATE_LIMIT: '6/m' });
    for (let i = 0; i < 5; i++) expect(await statusOf('/version?device=esp32')).toBe(401);
    const token = 'Authorization: Bearer first\r\n';
    expect(await statusOf('/version?device=esp32', token)).toBe(200);
    expect(await statusOf('/firmware?device=esp32', token)).toBe(200);
    expect(await statusOf('/version?device=esp32', token)).toBe(429);
  });

  it('names the line of a token file that is wrong', async () => {
    const path = join(folder, 'tokens');
    writeFileSync(path, 'esp32 plain-token\n');
    await expect(start({ DEVICE_TOKENS_PATH: path })).rejects.toThrow('line 1: expected DEVICE sha256:HEX');
    await start({});
  });

  it('is told by a signed URL, until it expires', async () => {
    await start({ DEVICE_URL_SECRET: 'newer-secret-of-two,older-secret-of-two' });
    const seconds = Math.floor(Date.now() / 1000);
    const signed = (secret: string, device: string, expires: number): string => signedQuery(secret, device, expires);
    expect(await statusOf(`/version?${signed('newer-secret-of-two', 'esp32', seconds + 60)}`)).toBe(200);
    expect(await statusOf(`/firmware?${signed('older-secret-of-two', 'esp32', seconds + 60)}&version=1.0.0`)).toBe(200);
    expect(await statusOf(`/version?${signed('newer-secret-of-two', 'esp32', seconds - 1)}`)).toBe(403);
    expect(await statusOf(`/version?${signed('wrong', 'esp32', seconds + 60)}`)).toBe(403);
    expect(
      await statusOf(
        `/version?${signed('newer-secret-of-two', 'line-1/sensor', seconds + 60).replace('line-1/sensor', 'esp32')}`,
      ),
    ).toBe(403);
    expect(
      await statusOf(
        `/version?${signed('newer-secret-of-two', 'esp32', seconds + 60).replace(/expires=\d+/, `expires=${seconds + 61}`)}`,
      ),
    ).toBe(403);
    expect(await statusOf('/version?device=esp32')).toBe(401);
    const { stdout } = await run(['sign-url', 'esp32', '--expires-in', '5m', '--url', service.url], {
      DEVICE_URL_SECRET: 'newer-secret-of-two,older-secret-of-two',
    });
    const [version = '', image = ''] = stdout.trim().split('\n');
    expect((await fetch(version)).status).toBe(200);
    expect(Buffer.from(await (await fetch(image)).arrayBuffer()).equals(firmware)).toBe(true);
    expect(await run(['sign-url', 'esp32'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('DEVICE_URL_SECRET'),
    });
    expect(
      await run(['sign-url', 'esp32', '--expires-in', 'x', '--device-url-secret', 's3cret-of-16-characters']),
    ).toMatchObject({
      code: 2,
    });
  });

  it('is told by a header of a proxy that is trusted, and of no other', async () => {
    await start({ DEVICE_HEADER: 'X-SSL-Client-S-DN', TRUST_PROXY: '127.0.0.0/8' });
    expect(await statusOf('/version?device=esp32', 'X-SSL-Client-S-DN: CN=esp32,O=Example\r\n')).toBe(200);
    expect(await statusOf('/version?device=esp32', 'x-ssl-client-s-dn: esp32\r\n')).toBe(200);
    expect(await statusOf('/version?device=esp32', 'X-SSL-Client-S-DN: CN=other\r\n')).toBe(403);
    expect(await statusOf('/version?device=esp32', 'X-SSL-Client-S-DN: O=x\\,CN=esp32,CN=other\r\n')).toBe(403);
    expect(await statusOf('/version?device=esp32')).toBe(401);
    await service.stop();
    await start({ DEVICE_HEADER: 'X-SSL-Client-S-DN', TRUST_PROXY: '10.0.0.0/8' });
    expect(await statusOf('/version?device=esp32', 'X-SSL-Client-S-DN: CN=esp32\r\n')).toBe(401);
    await service.stop();
    await expect(start({ TRUST_PROXY: '10.0.0.0/40' })).rejects.toThrow(
      '--trust-proxy: got "10.0.0.0/40", expected addresses and networks',
    );
    await start({});
  });

  it('is allowed when one of several ways allows it', async () => {
    class Badge extends DeviceAuthenticator {
      override accessOf({ raw }: DeviceRequest, { product }: Identity): Access {
        return raw.headers['x-badge'] === undefined
          ? 'unknown'
          : raw.headers['x-badge'] === product
            ? 'allowed'
            : 'other';
      }
    }
    service = await TestService.start(
      { REGISTRY_URL: registry.url, DEVICE_URL_SECRET: 's3cret-of-16-characters' },
      { authenticators: [Badge] },
    );
    const seconds = Math.floor(Date.now() / 1000) + 60;
    expect(await statusOf('/version?device=esp32', 'X-Badge: esp32\r\n')).toBe(200);
    expect(await statusOf(`/version?${signedQuery('s3cret-of-16-characters', 'esp32', seconds)}`)).toBe(200);
    expect(await statusOf('/version?device=esp32', 'X-Badge: other\r\n')).toBe(403);
    expect(await statusOf('/version?device=esp32')).toBe(401);
  });

  it('is told to come back when an authenticator never answers', async () => {
    let asked = (): void => undefined;
    const question = new Promise<void>((resolve) => (asked = resolve));
    class Hanging extends DeviceAuthenticator {
      override accessOf(): Promise<Access> {
        asked();
        return new Promise(() => undefined);
      }
    }
    service = await TestService.start({ REGISTRY_URL: registry.url }, { authenticators: [Hanging] });
    const client = await RawClient.open(service.port);
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance', 'setInterval'] });
    try {
      const answer = client.request('GET /version?device=esp32 HTTP/1.1\r\nHost: x\r\n\r\n');
      await question;
      await jest.advanceTimersByTimeAsync(20_000);
      expect((await answer).status).toBe(503);
    } finally {
      jest.useRealTimers();
      client.close();
    }
  });

  it.each([
    ['is slow', false],
    ['is slow, and another one after it is not', true],
  ])('is allowed, refused or failed by an authenticator that %s', async (_what, isSlow) => {
    /** Asks somewhere else, such as an identity provider. */
    class Remote extends DeviceAuthenticator {
      override async accessOf({ raw }: DeviceRequest, { product, unit }: Identity): Promise<Access> {
        await new Promise((resolve) => setImmediate(resolve));
        if (raw.headers['x-badge'] === 'broken') throw new Error('the identity provider is down');
        if (raw.headers['x-badge'] === undefined) return 'unknown';
        return raw.headers['x-badge'] === `${product}/${unit ?? ''}` ? 'allowed' : 'other';
      }
    }
    class Never extends DeviceAuthenticator {
      override accessOf(): Access {
        return 'unknown';
      }
    }
    service = await TestService.start(
      { REGISTRY_URL: registry.url },
      { authenticators: isSlow ? [Never, Remote, Never] : [Remote] },
    );
    expect(await statusOf('/version?device=esp32&unit=7', 'X-Badge: esp32/7\r\n')).toBe(200);
    expect(await statusOf('/version?device=esp32&unit=8', 'X-Badge: esp32/7\r\n')).toBe(403);
    expect(await statusOf('/version?device=esp32&unit=7')).toBe(401);
    expect(await statusOf('/version?device=esp32&unit=7', 'X-Badge: broken\r\n')).toBe(500);
  });
});
