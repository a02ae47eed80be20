import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fleet, type UnitState } from '../../src/fleet/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { MenderUnit, type Deployment, type MenderOptions } from '../support/clients/mender.js';
import { DdiUnit } from '../support/clients/ddi.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { artifactOf } from '../support/mender-artifact.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const LOGIN = '/api/devices/v1/authentication/auth_requests';
const NEXT = '/api/devices/v2/deployments/device/deployments/next';
const artifact = artifactOf('rel-1', ['h3board'], firmwareBytes(20_000, 'first'));

const pem = (key: KeyObject): string => createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
const fingerprint = (key: KeyObject): string =>
  createHash('sha256')
    .update(createPublicKey(key).export({ type: 'spki', format: 'der' }))
    .digest('hex');

describe('access of Mender devices', () => {
  const registry = new FakeRegistry();
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-mender-access-'));
  const keysFile = join(folder, 'keys');
  const tokensFile = join(folder, 'tokens');
  let service: TestService;

  beforeAll(async () => {
    await registry.start();
    registry.push('h3board', '1.0.0', artifact);
    registry.push('h4board', '1.0.0', artifactOf('rel-1', ['h4board'], firmwareBytes(10_000, 'four')));
    writeFileSync(tokensFile, '');
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    writeFileSync(keysFile, '');
  });
  afterEach(() => service.stop());

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, LOG_LEVEL: 'debug', ...options });
  };
  const unit = (options: Partial<MenderOptions> = {}): MenderUnit =>
    new MenderUnit(service.port, {
      client: 'cpp',
      identity: { mac: '24:6f:28:aa:bb:cc' },
      deviceType: 'h3board',
      artifactName: 'factory',
      ...options,
    });
  const state = async (name = '24:6f:28:aa:bb:cc'): Promise<UnitState | undefined> =>
    service.service.app.get(Fleet, { strict: false }).find({ product: 'h3board', unit: name });
  const login = async (body: string, signature?: string): Promise<number> => {
    const headers = { ...(signature !== undefined && { 'x-men-signature': signature }) };
    const response = await service.fetch(LOGIN, { method: 'POST', body, headers });
    if (response.status === 200) return 200;
    expect(await response.json()).toEqual({ error: expect.any(String), request_id: expect.any(String) });
    return response.status;
  };
  const request = (publicKey: string, identity: unknown = JSON.stringify({ mac: 'x' })): string =>
    JSON.stringify({ id_data: identity, pubkey: publicKey, tenant_token: '' });
  const signed = (body: string, key: KeyObject): string =>
    sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', Buffer.from(body), key).toString('base64');

  it.each([
    ['RSA of 2,048 bits', generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey, 200],
    ['RSA of 3,072 bits', generateKeyPairSync('rsa', { modulusLength: 3_072 }).privateKey, 200],
    ['P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, 200],
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, 200],
    ['Ed25519', generateKeyPairSync('ed25519').privateKey, 200],
    ['RSA of 1,024 bits', generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey, 400],
    ['secp256k1', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey, 400],
    ['Ed448', generateKeyPairSync('ed448').privateKey, 400],
  ])('a key with %s', async (_name, key, status) => {
    await start();
    const body = request(pem(key));
    const hash = (key.asymmetricKeyType ?? '').startsWith('ed') ? null : 'sha256';
    expect(await login(body, sign(hash, Buffer.from(body), key).toString('base64'))).toBe(status);
    // The newline of the Go client is a part of what it signs.
    expect(await login(`${body}\n`, sign(hash, Buffer.from(`${body}\n`), key).toString('base64'))).toBe(status);
    if (status === 200)
      expect(await login(`${body}\n`, sign(hash, Buffer.from(body), key).toString('base64'))).toBe(401);
  });

  it('refuses malformed logins, and those with a wrong signature', async () => {
    await start();
    const { privateKey: key } = generateKeyPairSync('ed25519');
    const { privateKey: other } = generateKeyPairSync('ed25519');
    const good = request(pem(key));
    expect(await login(good)).toBe(400);
    expect(await login(good, '')).toBe(401);
    expect(await login(good, 'x'.repeat(5_000))).toBe(400);
    expect(await login(good, signed(good, other))).toBe(401);
    expect(await login(good, signed(`${good} `, key))).toBe(401);
    const privatePem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    for (const body of [
      request(privatePem),
      request('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'),
      request('x'.repeat(10_000)),
      request(pem(key), { mac: 'x' }),
      request(pem(key), '[]'),
      request(pem(key), '{}'),
      request(pem(key), '{"mac":""}'),
      request(pem(key), '{"mac":{"a":1}}'),
      '{}',
      'null',
      '[1]',
      '{',
      '',
    ])
      expect([body, await login(body, signed(body, key))]).toEqual([body, 400]);
    expect(await login('x'.repeat(70_000), 'x')).toBe(413);
    expect((await service.fetch(LOGIN)).status).toBe(405);
  });

  it.each([
    [{ mac: '24:6f:28:aa:bb:cc' }, '24:6f:28:aa:bb:cc'],
    [{ sn: '17', mac: 'a' }, 'mac=a,sn=17'],
    [{ mac: 'x'.repeat(200) }, `sha256:${createHash('sha256').update('x'.repeat(200)).digest('hex')}`],
  ])('names the unit of %j', async (identity, name) => {
    await start();
    expect(await unit({ identity }).update()).toBe('installed');
    expect(await state(name)).toMatchObject({ running: '1.0.0' });
  });

  it('keeps the first key of a unit: a stranger with another one changes nothing', async () => {
    await start();
    const device = unit();
    await device.login();
    const { id } = JSON.parse((await device.next()).body.toString()) as Deployment;
    const before = await state();
    const stranger = unit();
    expect(await stranger.login()).toBe(200);
    expect((await stranger.next()).status).toBe(403);
    expect((await stranger.status(id, 'failure')).status).toBe(404);
    expect((await stranger.log(id, 'broken')).status).toBe(404);
    expect((await stranger.inventory('PUT', { device_type: 'h3board', x: 'y' })).status).toBe(403);
    expect(await state()).toEqual(before);
    // Nor by another protocol.
    const ddi = new DdiUnit(() => service, '24:6f:28:aa:bb:cc', 'h3board');
    expect(await ddi.feedback(await ddi.action(), 'closed', 'success')).toBe(200);
    expect((await stranger.next()).status).toBe(403);
    expect(service.events('device.forbidden')[0]?.reason).toContain('was seen with another key');
    expect(await device.update()).toBe('installed');
    expect((await state())?.key).toBe(fingerprint(device.key));
  });

  it('refuses the token of another unit, and of another deployment', async () => {
    await start();
    const [one, two] = [unit(), unit({ identity: { mac: 'two' } })];
    await one.login();
    await two.login();
    const { id } = JSON.parse((await one.next()).body.toString()) as Deployment;
    const before = await state();
    // Unit two was not offered anything yet, and its token names itself only.
    expect((await two.status(id, 'success')).status).toBe(404);
    expect(await state()).toEqual(before);
    expect(await state('two')).toBeUndefined();
    for (const wrong of ['x', `${'0'.repeat(32)}-h3board`, `${id}x`, '..%2f', 'a'.repeat(300), id.toUpperCase()])
      expect([wrong, (await one.status(wrong, 'success')).status]).toEqual([wrong, 404]);
    expect((await one.status(id, 'exploded')).status).toBe(400);
    expect(
      (await one.exchange('PUT', `/api/devices/v1/deployments/device/deployments/${id}/status`, '[]')).status,
    ).toBe(400);
    expect(await state()).toEqual(before);
  });

  it('counts a report once, however often it is sent', async () => {
    await start();
    const device = unit();
    await device.login();
    const { id } = JSON.parse((await device.next()).body.toString()) as Deployment;
    for (let times = 0; times < 3; times++) expect((await device.status(id, 'success')).status).toBe(204);
    expect((await device.status(id, 'downloading')).status).toBe(204);
    expect(service.events('unit.installed')).toHaveLength(1);
  });

  it('refuses tokens that it has not made', async () => {
    await start();
    const device = unit();
    await device.login();
    const token = device.token ?? '';
    const [payload = '', mac = ''] = token.split('.');
    const other = Buffer.from(JSON.stringify(['two', 'f'.repeat(64), 9_999_999_999])).toString('base64url');
    for (const wrong of [
      '',
      'x',
      payload,
      `${payload}.`,
      `.${mac}`,
      `${other}.${mac}`,
      `${payload}.${mac.slice(1)}`,
      `${token}x`,
      'x'.repeat(8_000),
    ]) {
      device.token = wrong;
      expect([wrong, (await device.next()).status]).toEqual([wrong, 401]);
    }
    device.token = token;
    expect((await device.next()).status).toBe(200);
  });

  it('of a listed key ends when the key is taken from the file', async () => {
    const { privateKey: key } = generateKeyPairSync('ed25519');
    const { privateKey: other } = generateKeyPairSync('ed25519');
    writeFileSync(keysFile, `h3board sha256:${fingerprint(key)}\n`);
    await start({ DEVICE_TOKENS_PATH: tokensFile, MENDER_ACCEPT: keysFile });
    const device = unit({ key });
    await device.login();
    expect((await device.next()).status).toBe(200);
    writeFileSync(keysFile, `h3board sha256:${fingerprint(other)}\n`);
    await until(async () => (await device.next()).status === 401, 'the new list');
    expect(await device.login()).toBe(401);
    // The board was replaced: its key is of no use any more, and the new one takes its place.
    expect(await unit({ key: other }).update()).toBe('installed');
  });

  describe('where devices need credentials', () => {
    it('accepts no key by default, and says how to', async () => {
      await start({ DEVICE_TOKENS_PATH: tokensFile });
      const device = unit();
      expect(await device.update()).toBe('unauthorized');
      expect(service.events('device.unauthorized')[0]?.reason).toContain(`"DEVICE sha256:${fingerprint(device.key)}"`);
    });

    it('does not take a key that was accepted on first use for a credential', async () => {
      await start({ DEVICE_TOKENS_PATH: tokensFile, MENDER_ACCEPT: 'first-use' });
      expect(await unit().update()).toBe('error 401');
    });

    it('accepts a listed key for its product, with links that carry a signature', async () => {
      const { privateKey: key } = generateKeyPairSync('ed25519');
      writeFileSync(keysFile, `# the lab\nh3board sha256:${fingerprint(key)}\n`);
      await start({ DEVICE_TOKENS_PATH: tokensFile, MENDER_ACCEPT: keysFile });
      const device = unit({ key });
      expect(await device.update()).toBe('installed');
      device.artifactName = 'factory';
      const { artifact: offered } = JSON.parse((await device.next()).body.toString()) as Deployment;
      const { uri, expire } = offered.source;
      expect(uri).toContain('&signature=');
      expect(Date.parse(expire)).toBeGreaterThan(Date.now());
      expect((await fetch(uri)).status).toBe(200);
      expect((await fetch(uri.replace('aa%3Abb', 'aa%3Abc'))).status).toBe(403);
      expect((await fetch(uri.replace(/&signature=.*/, ''))).status).toBe(401);
      expect((await fetch(uri.replace('version=1.0.0', 'version=9.9.9'))).status).toBe(404);
      expect(await unit({ key, deviceType: 'h4board', identity: { mac: 'four' } }).update()).toBe('error 403');
      expect(await unit().update()).toBe('unauthorized');
    });

    it('accepts a listed key for its unit only, also in place of the one before', async () => {
      const [before, after, foreign] = [1, 2, 3].map(() => generateKeyPairSync('ed25519').privateKey) as [
        KeyObject,
        KeyObject,
        KeyObject,
      ];
      writeFileSync(
        keysFile,
        [
          `h3board sha256:${fingerprint(before)}`,
          `h3board sha256:${fingerprint(after)} 24:6f:28:aa:bb:cc`,
          `* sha256:${fingerprint(foreign)} another unit`,
        ].join('\n'),
      );
      await start({ DEVICE_TOKENS_PATH: tokensFile, MENDER_ACCEPT: keysFile });
      expect(await unit({ key: before }).update()).toBe('installed');
      expect(await unit({ key: foreign }).update()).toBe('unauthorized');
      expect(await unit({ key: foreign, identity: { sn: 'another unit' } }).update()).toBe('installed');
      expect(await unit({ key: after }).update()).toBe('installed');
      // The key of the board that was replaced is of no use any more.
      expect(await unit({ key: before }).update()).toBe('error 403');
    });
  });

  it('names the line of the file that is wrong', async () => {
    writeFileSync(keysFile, 'h3board sha256:abc\n');
    await expect(start({ MENDER_ACCEPT: keysFile })).rejects.toThrow(
      /--mender-accept: .*line 1: expected DEVICE sha256:HEX/,
    );
    await start();
  });

  it('survives random requests to every route: no 500, no new label', async () => {
    await start();
    const device = unit();
    await device.login();
    const routes = [LOGIN, NEXT, NEXT.replace('v2', 'v1'), '/api/devices/v1/inventory/device/attributes'];
    const steps = ['status', 'log', 'artifact', 'x'];
    const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T;
    const id = `${'0'.repeat(32)}-h3board`;
    for (let times = 0; times < 600; times++) {
      const noise = randomBytes(Math.floor(Math.random() * 60)).toString(pick(['latin1', 'base64url', 'hex']));
      const path = pick([
        ...routes,
        ...steps.map(
          (step) => `/api/devices/v1/deployments/device/deployments/${pick([id, encodeURIComponent(noise)])}/${step}`,
        ),
        `/api/devices/${encodeURIComponent(noise)}`,
      ]);
      const body = pick([
        undefined,
        noise,
        `{"device_provides":${JSON.stringify(noise)},"device_type":${JSON.stringify(noise)}}`,
        `{"device_provides":{"device_type":${JSON.stringify(pick([noise, 'h3board']))},"artifact_name":[{}]}}`,
        `[{"name":"device_type","value":"h3board"},{"name":${JSON.stringify(noise)},"value":[[null]]},null,7]`,
        `{"status":${JSON.stringify(noise)}}`,
        '{"messages":[{"level":"error"},null,{"level":{},"message":3}]}',
        '['.repeat(30_000),
      ]);
      const method = pick(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']);
      const { status } = await device.exchange(method, path, body);
      expect([path, body?.slice(0, 100), status < 500 || status === 503]).toEqual([path, body?.slice(0, 100), true]);
    }
    expect(service.events('device.failed')).toEqual([]);
    const labels = new Set(
      [...(await service.metrics()).matchAll(/http_requests_total\{[^}]*path="([^"]*)"/g)].map(([, path]) => path),
    );
    expect(
      [...labels].filter(
        (path) =>
          !/^(?:other|\/api\/devices\/v[12]\/(?:authentication|deployments|inventory)\/[a-z_/:]*)$/.test(path ?? ''),
      ),
    ).toEqual([]);
    expect(labels.size).toBeLessThan(12);
  });
});
