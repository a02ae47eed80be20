import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, request as httpRequest, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '../../../test/support/authority.js';
import { error, FakeRegistry, INDEX, json, sha256 } from '../../../test/support/fake-registry.js';
import { gather, parseSettings } from '../../config/index.js';
import type { Digest } from '../../oci/index.js';
import { createRegistry, type Registry } from '../index.js';
import { parseChallenges, preferredChallenge } from './challenge.js';
import { readAuthFile, type Credentials } from './credentials.js';
import { Endpoint } from './endpoint.js';
import { retryAfterMs } from '../../http-date.js';
import { retryWaitMs } from './retry.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-distribution-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const never = new AbortController().signal;

async function registryAt(environment: Record<string, string>): Promise<Registry> {
  return createRegistry(parseSettings(await gather({ flags: {}, environment })));
}

describe('WWW-Authenticate', () => {
  it('may hold several challenges in one line, with commas inside of quotes', () => {
    const header =
      'Basic realm="a, b", Bearer realm="https://auth.example/token",service="x",scope="repository:a:pull,push", Negotiate';
    expect(parseChallenges(header)).toEqual([
      { scheme: 'basic', parameters: { realm: 'a, b' } },
      {
        scheme: 'bearer',
        parameters: { realm: 'https://auth.example/token', service: 'x', scope: 'repository:a:pull,push' },
      },
      { scheme: 'negotiate', parameters: {} },
    ]);
    expect(preferredChallenge(header)?.scheme).toBe('bearer');
  });

  it.each([
    ['Basic realm="x"', 'basic'],
    [['Basic realm="x"', 'Bearer realm="https://y"'], 'bearer'],
    ['Bearer error="no realm"', undefined],
    ['Digest realm="x"', undefined],
    ['', undefined],
    [undefined, undefined],
    ['"""', undefined],
  ])('%j prefers %s', (header, scheme) => {
    expect(preferredChallenge(header)?.scheme).toBe(scheme);
  });
});

describe('a docker config.json', () => {
  const load = (content: unknown, host = 'ghcr.io'): ((repository?: string) => Credentials | undefined) => {
    const path = join(folder, 'config.json');
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    const source = readAuthFile(path, host);
    return (repository) => source(repository);
  };
  const auth = (user: string, password: string): { auth: string } => ({
    auth: Buffer.from(`${user}:${password}`).toString('base64'),
  });

  it.each(['ghcr.io', 'https://ghcr.io', 'https://ghcr.io/v1/', 'https://ghcr.io/v2/'])('knows %s', (key) => {
    expect(load({ auths: { [key]: auth('me', 'a:b') } })('myorg/fw')).toMatchObject({
      username: 'me',
      password: 'a:b',
    });
  });

  it('takes the longest key that fits, by whole path segments', () => {
    const source = load({
      auths: { 'ghcr.io': auth('host', 'x'), 'ghcr.io/myorg': auth('org', 'x'), 'ghcr.io/myorg/fw': auth('fw', 'x') },
    });
    expect(source('myorg/fw/esp32')?.username).toBe('fw');
    expect(source('myorg/fw2')?.username).toBe('org');
    expect(source('myorganisation/fw')?.username).toBe('host');
    expect(source()?.username).toBe('host');
  });

  it('knows ports, identity tokens and the names of Docker Hub', () => {
    expect(load({ auths: { 'localhost:5000': auth('a', 'b') } }, 'localhost:5000')('x')?.username).toBe('a');
    expect(load({ auths: { 'localhost:5001': auth('a', 'b') } }, 'localhost:5000')('x')).toBeUndefined();
    expect(load({ auths: { 'ghcr.io': { identitytoken: 'it' } } })('x')).toMatchObject({ identityToken: 'it' });
    expect(
      load({ auths: { 'https://index.docker.io/v1/': auth('hub', 'x') } }, 'registry-1.docker.io')('library/x')
        ?.username,
    ).toBe('hub');
  });

  it.each<[string, object]>([
    [
      'a broken auth of another host',
      { auths: { 'other.example': { auth: 'bm9jb2xvbg==' }, 'ghcr.io': auth('me', 'x') } },
    ],
    [
      'an entry of another host that is none',
      { auths: { 'other.example': 7, 'x.example': null, 'ghcr.io': auth('me', 'x') } },
    ],
    ['a broken entry for another path', { auths: { 'ghcr.io/other': { auth: {} }, 'ghcr.io': auth('me', 'x') } }],
    [
      'null members',
      {
        auths: { 'ghcr.io': { ...auth('me', 'x'), username: null, password: null, identitytoken: null } },
        credHelpers: null,
        credsStore: null,
      },
    ],
    ['a null helper', { auths: { 'ghcr.io': auth('me', 'x') }, credHelpers: { 'ghcr.io': null, 'x.example': 7 } }],
    ['a null auth', { auths: { 'ghcr.io': { auth: null, username: 'me', password: 'x' } } }],
    ['a broken auth beside a password', { auths: { 'ghcr.io': { auth: '!', username: 'me', password: 'x' } } }],
    ['a host in capitals', { auths: { 'GHCR.io': auth('me', 'x') } }],
  ])('with %s is read', (_name, content) => {
    expect(load(content)('myorg/fw')).toMatchObject({ username: 'me', password: 'x', identityToken: undefined });
  });

  it.each([
    { auths: null },
    {},
    { auths: { 'ghcr.io': null } },
    { auths: { 'ghcr.io': {} } },
    { auths: { 'ghcr.io': { auth: '', identitytoken: '' } } },
  ])('%j holds no credentials', (content) => {
    expect(load(content)('myorg/fw')).toBeUndefined();
  });

  it.each([
    [{ credsStore: 'desktop' }, /helper "docker-credential-desktop", which is not run/],
    [{ credHelpers: { 'ghcr.io': 'gh' } }, /helper "docker-credential-gh"/],
    ['{"auths": {"ghcr.io": {"auth": "c2VjcmV0', /it is not JSON. Log in again$/],
    [{ auths: { 'ghcr.io': { auth: 'bm9jb2xvbg==' } } }, /"auth" of "ghcr.io" is not base64 of USER:PASSWORD/],
    [{ auths: [] }, /is not a docker config.json: auths: expected an object/],
    [{ auths: { 'ghcr.io': { auth: 7 } } }, /"ghcr.io"/],
    [{ auths: { 'ghcr.io': 'me:secret' } }, /"ghcr.io"/],
    [{ auths: { 'ghcr.io': { auth: 'bm9jb2xvbg==' }, 'ghcr.io/a': 7 } }, /"ghcr.io/],
    [null, /is not a docker config.json/],
  ])('%j is refused', (content, message) => {
    expect(() => load(content)).toThrow(message);
  });
});

describe('an endpoint', () => {
  it.each([
    ['https://registry-1.docker.io', '', 'esp32', 'https://registry-1.docker.io/v2/library/esp32/tags/list'],
    ['https://docker.io', 'myorg', 'esp32', 'https://registry-1.docker.io/v2/myorg/esp32/tags/list'],
    ['https://index.docker.io', '', 'myorg/esp32', 'https://registry-1.docker.io/v2/myorg/esp32/tags/list'],
    ['https://art.example', 'docker-local', 'fw/esp32', 'https://art.example/v2/docker-local/fw/esp32/tags/list'],
  ])('%s with path %j: %s', (origin, path, repository, url) => {
    expect(new Endpoint(origin, path).url(repository, 'tags/list').href).toBe(url);
  });
});

describe('retries', () => {
  it('wait longer each time, from 200 ms to 3 s, less up to a quarter', () => {
    for (const [index, longest] of [200, 400, 800, 1600, 3000, 3000].entries()) {
      for (let i = 0; i < 50; i++) {
        expect(retryWaitMs(index + 1)).toBeGreaterThanOrEqual(longest * 0.75);
        expect(retryWaitMs(index + 1)).toBeLessThanOrEqual(longest);
      }
    }
  });

  it('understand Retry-After in seconds and as a date', () => {
    expect(retryAfterMs('3')).toBe(3000);
    const inTenSeconds = retryAfterMs(new Date(Date.now() + 10_000).toUTCString()) ?? 0;
    expect(inTenSeconds).toBeGreaterThan(5_000);
    expect(inTenSeconds).toBeLessThanOrEqual(10_000);
    expect(retryAfterMs('Mon, 01 Jan 2001 00:00:00 GMT')).toBe(0);
    expect(retryAfterMs('soon')).toBeUndefined();
  });
});

describe('a registry over HTTP', () => {
  const server = new FakeRegistry();
  let registry: Registry;

  beforeAll(() => server.start());
  afterAll(() => server.stop());
  beforeEach(async () => {
    registry = await registryAt({ REGISTRY_URL: server.url });
  });
  afterEach(() => {
    server.fault = () => false;
    server.auth = undefined;
    server.tokens.clear();
    server.seen.length = 0;
    server.remove('fw');
  });

  it('asks for all manifest types, and a thousand tags a page', async () => {
    server.push('fw', '1.0.0', Buffer.from('x'));
    await registry.listTags('fw', never);
    await registry.resolve('fw', '1.0.0', never);
    expect(server.seen[0]?.url).toBe('/v2/fw/tags/list?n=1000');
    expect(server.seen[1]?.method).toBe('HEAD');
    expect(server.seen[1]?.headers.accept?.split(', ')).toEqual([
      'application/vnd.oci.image.manifest.v1+json',
      'application/vnd.oci.image.index.v1+json',
      'application/vnd.docker.distribution.manifest.v2+json',
      'application/vnd.docker.distribution.manifest.list.v2+json',
    ]);
  });

  it('asks a second time, whole, where HEAD tells no digest', async () => {
    const digest = server.push('fw', '1.0.0', Buffer.from('x'));
    server.fault = (request, response, kind) => {
      if (kind !== 'manifest' || request.method !== 'HEAD') return false;
      response.writeHead(200, { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }).end();
      return true;
    };
    expect((await registry.resolve('fw', '1.0.0', never)).digest).toBe(digest);
  });

  it('meets a Basic challenge, and shows no credentials before it', async () => {
    server.push('fw', '1.0.0', Buffer.from('x'));
    const expected = `Basic ${Buffer.from('robot:secret').toString('base64')}`;
    const shown: (string | undefined)[] = [];
    server.fault = (request, response) => {
      shown.push(request.headers.authorization);
      if (request.headers.authorization === expected) return false;
      error(response, 401, 'UNAUTHORIZED', { 'WWW-Authenticate': 'Basic realm="x"' });
      return true;
    };
    const own = await registryAt({
      REGISTRY_URL: server.url,
      REGISTRY_USERNAME: 'robot',
      REGISTRY_PASSWORD: 'secret',
    });
    expect(await own.listTags('fw', never)).toEqual(['1.0.0']);
    expect(await own.listTags('fw', never)).toEqual(['1.0.0']);
    expect(shown).toEqual([undefined, expected, expected]);
  });

  it('fetches an anonymous token where one is wanted for public pulls', async () => {
    server.push('fw', '1.0.0', Buffer.from('x'));
    server.auth = { user: '', password: '' };
    server.fault = (request, response, kind) => {
      if (kind !== 'token') return false;
      expect(request.headers.authorization).toBeUndefined();
      expect(new URL(request.url ?? '', server.url).searchParams.get('scope')).toBe('repository:fw:pull');
      server.tokens.add('anonymous');
      json(response, 200, { access_token: 'anonymous' });
      return true;
    };
    expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
  });

  it('trades an identity token for access tokens by POST', async () => {
    server.push('fw', '1.0.0', Buffer.from('x'));
    server.auth = { user: '', password: '' };
    const config = join(folder, 'identity.json');
    writeFileSync(config, JSON.stringify({ auths: { [server.host]: { identitytoken: 'refresh-me' } } }));
    let form = '';
    server.fault = (request, response, kind) => {
      if (kind !== 'token') return false;
      request.on('data', (piece: Buffer) => (form += piece.toString()));
      request.on('end', () => {
        server.tokens.add('traded');
        json(response, 200, { access_token: 'traded', refresh_token: 'next', expires_in: 300 });
      });
      return true;
    };
    const own = await registryAt({ REGISTRY_URL: server.url, REGISTRY_AUTH_FILE: config });
    expect(await own.listTags('fw', never)).toEqual(['1.0.0']);
    expect(Object.fromEntries(new URLSearchParams(form))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'otaflux',
      refresh_token: 'refresh-me',
      service: 'fake',
      scope: 'repository:fw:pull',
    });
  });

  it('lists referrers by the API, filtered by itself where the registry did not', async () => {
    const subject = sha256(Buffer.from('subject')) as Digest;
    server.repository('fw');
    const entry = (artifactType: string, digest: string): object => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: sha256(Buffer.from(digest)),
      size: 1,
      artifactType,
    });
    server.fault = (request, response, kind) => {
      if (kind !== 'referrers') return false;
      const second = request.url?.includes('page=2');
      const manifests = second ? [entry('a', '3')] : [entry('a', '1'), entry('b', '2')];
      json(
        response,
        200,
        { schemaVersion: 2, mediaType: INDEX, manifests },
        {
          'Content-Type': INDEX,
          ...(!second && { Link: `<${request.url ?? ''}&page=2>; rel="next"` }),
        },
      );
      return true;
    };
    expect((await registry.listReferrers('fw', subject, 'a', never)).map(({ digest }) => digest)).toEqual([
      sha256(Buffer.from('1')),
      sha256(Buffer.from('3')),
    ]);
  });

  it('falls back to the tag schema where the registry has no referrers API', async () => {
    const subject = sha256(Buffer.from('subject')) as Digest;
    const manifest = server.putManifest('fw', undefined, { schemaVersion: 2 });
    server.putManifest(
      'fw',
      subject.replace(':', '-'),
      {
        schemaVersion: 2,
        mediaType: INDEX,
        manifests: [{ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: manifest, size: 20 }],
      },
      INDEX,
    );
    expect(await registry.listReferrers('fw', subject, 'any', never)).toMatchObject([{ digest: manifest }]);
    expect(await registry.listReferrers('fw', sha256(Buffer.from('other')) as Digest, 'any', never)).toEqual([]);
  });

  it('ends at once when the caller gives up', async () => {
    server.fault = () => true;
    const caller = new AbortController();
    const pending = registry.listTags('fw', caller.signal);
    caller.abort();
    await expect(pending).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('a registry over TLS', () => {
  let server: Server;
  let url = '';
  const { cert, keyPath } = new Authority(folder, '127.0.0.1', 'IP:127.0.0.1');

  beforeAll(async () => {
    server = createHttpsServer({ key: readFileSync(keyPath), cert: readFileSync(cert) }, (_request, response) => {
      json(response, 200, { tags: ['1.0.0'] });
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('is trusted by the authority in REGISTRY_CA_CERT_PATH, and not without it', async () => {
    const trusting = await registryAt({ REGISTRY_URL: url, REGISTRY_CA_CERT_PATH: cert });
    expect(await trusting.listTags('fw', never)).toEqual(['1.0.0']);
    const wary = await registryAt({ REGISTRY_URL: url, REGISTRY_TIMEOUT: '5s' });
    await expect(wary.listTags('fw', never)).rejects.toThrow(/self-signed.*--registry-ca-cert-path/);
  });

  it('is not followed to plain HTTP', async () => {
    const plain = await new FakeRegistry().start();
    server.removeAllListeners('request');
    server.on('request', (_request, response) => {
      response.writeHead(307, { Location: `${plain.url}/v2/fw/tags/list` }).end();
    });
    const registry = await registryAt({ REGISTRY_URL: url, REGISTRY_CA_CERT_PATH: cert });
    await expect(registry.listTags('fw', never)).rejects.toThrow(
      /redirects from https: to http:, which is not followed/,
    );
    expect(plain.seen).toEqual([]);
    await plain.stop();
  });
});

describe('a proxy', () => {
  const saved = { ...process.env };
  afterEach(() => {
    process.env = { ...saved };
  });

  it('named by HTTP_PROXY is used, but not for hosts in NO_PROXY', async () => {
    const origin = await new FakeRegistry().start();
    origin.push('fw', '1.0.0', Buffer.from('x'));
    const asked: string[] = [];
    const proxy = createHttpServer((request, response) => {
      asked.push(request.url ?? '');
      request.pipe(
        httpRequest(request.url ?? '', { method: request.method, headers: request.headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 0, answer.headers);
          answer.pipe(response);
        }),
      );
    });
    proxy.on('connect', (request, socket) => {
      asked.push(`CONNECT ${request.url ?? ''}`);
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    });
    proxy.listen(0, '127.0.0.1');
    await new Promise((resolve) => proxy.once('listening', resolve));
    process.env.http_proxy = process.env.HTTP_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    process.env.no_proxy = process.env.NO_PROXY = '';
    const proxied = await registryAt({ REGISTRY_URL: origin.url, REGISTRY_TIMEOUT: '5s' });
    expect(await proxied.listTags('fw', never)).toEqual(['1.0.0']);
    expect(asked).toEqual([`${origin.url}/v2/fw/tags/list?n=1000`]);
    asked.length = 0;
    process.env.no_proxy = process.env.NO_PROXY = '127.0.0.1';
    const direct = await registryAt({ REGISTRY_URL: origin.url });
    expect(await direct.listTags('fw', never)).toEqual(['1.0.0']);
    expect(asked).toEqual([]);
    proxy.closeAllConnections();
    proxy.close();
    await origin.stop();
  });

  it('that refuses us is not taken for the registry', async () => {
    const proxy = createHttpServer((_request, response) => void response.writeHead(407).end());
    proxy.listen(0, '127.0.0.1');
    await new Promise((resolve) => proxy.once('listening', resolve));
    process.env.http_proxy = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    process.env.no_proxy = process.env.NO_PROXY = '';
    const proxied = await registryAt({ REGISTRY_URL: 'http://registry.example', REGISTRY_TIMEOUT: '300ms' });
    await expect(proxied.listTags('fw', never)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(
        /cannot reach http:\/\/registry\.example: the proxy answered 407.*Set HTTP_PROXY=/,
      ),
    });
    proxy.closeAllConnections();
    proxy.close();
  });
});
