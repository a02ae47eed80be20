import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { error, FakeRegistry, json, type Kind } from '../../../test/support/fake-registry.js';
import { gather, parseSettings } from '../../config/index.js';
import { createRegistry, type Registry } from '../index.js';

const never = new AbortController().signal;
const credentials = { REGISTRY_USERNAME: 'robot', REGISTRY_PASSWORD: 'secret' };

async function registryAt(environment: Record<string, string>): Promise<Registry> {
  return createRegistry(
    parseSettings(await gather({ flags: {}, environment: { REGISTRY_TIMEOUT: '60s', ...environment } })),
  );
}

/** The scopes that tokens were asked for, in order. */
const scopesOf = (server: FakeRegistry): (string | null)[] =>
  server.seen
    .filter(({ kind }) => kind === 'token')
    .map(({ url }) => new URL(url, server.url).searchParams.get('scope'));

describe('a token', () => {
  const server = new FakeRegistry();
  beforeAll(() => server.start());
  afterAll(() => server.stop());
  afterEach(() => {
    server.fault = () => false;
    server.seen.length = 0;
    for (const name of [...server.names()]) server.remove(name);
  });

  /** Demands a token whose scope is what `demand` says of a request; `service` may change, too. */
  const demanding = (
    demand: (kind: Kind, name: string) => { scope?: string | undefined; service?: string },
    refusal = 401,
  ): void => {
    server.fault = (request, response, kind) => {
      const url = new URL(request.url ?? '', server.url);
      if (kind === 'token') {
        json(response, 200, { token: Buffer.from(url.search).toString('base64url') });
        return true;
      }
      const name = /^\/v2\/(.+)\/(?:tags|manifests|blobs|referrers)\//.exec(url.pathname)?.[1] ?? '';
      const { scope, service = 'fake' } = demand(kind, name);
      const shown = request.headers.authorization?.replace('Bearer ', '');
      const granted = new URLSearchParams(Buffer.from(shown ?? '', 'base64url').toString());
      if (
        shown !== undefined &&
        granted.get('scope') === (scope ?? `repository:${name}:pull`) &&
        granted.get('service') === service
      )
        return false;
      challenge(response, shown === undefined ? 401 : refusal, service, scope);
      return true;
    };
  };
  const challenge = (response: ServerResponse, status: number, service: string, scope: string | undefined): void => {
    const parameters = `realm="${server.url}/token",service="${service}"${scope === undefined ? '' : `,scope="${scope}"`}`;
    error(
      response,
      status,
      status === 401 ? 'UNAUTHORIZED' : 'DENIED',
      status === 401 ? { 'WWW-Authenticate': `Bearer ${parameters}` } : {},
    );
  };

  it.each([
    [
      'of Azure, which wants another right for the tags list',
      (kind: Kind) => (kind === 'tags' ? 'repository:fw:metadata_read' : 'repository:fw:pull'),
    ],
    ['of the public ECR, the same for all', () => 'aws'],
    ['of a proxy, which names another repository', () => 'repository:upstream/fw:pull'],
    ['for several things at once', () => 'repository:fw:pull repository:base/fw:pull'],
    ['that the challenge does not name', () => undefined],
  ])('%s: its scope is that of the challenge', async (_name, scopeFor) => {
    server.push('fw', '1.0.0', Buffer.from('x'));
    demanding((kind) => ({ scope: scopeFor(kind) }));
    // The service takes one scope for each parameter, or all in one.
    const fault = server.fault;
    server.fault = (request, response, kind, step) => {
      const url = new URL(request.url ?? '', server.url);
      if (kind !== 'token') return fault(request, response, kind, step);
      const search = new URLSearchParams({ scope: url.searchParams.getAll('scope').join(' '), service: 'fake' });
      json(response, 200, { token: Buffer.from(search.toString()).toString('base64url') });
      return true;
    };
    const registry = await registryAt({ REGISTRY_URL: server.url });
    expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
    const descriptor = await registry.resolve('fw', '1.0.0', never);
    await registry.fetchManifest('fw', descriptor, never);
    const tokens = server.count('token');
    expect(tokens).toBeLessThanOrEqual(2);
    await registry.listTags('fw', never);
    await registry.fetchManifest('fw', descriptor, never);
    expect(server.count('token')).toBe(tokens);
  });

  it('of the right kind is asked for by each repository, and one serves all that want the same', async () => {
    for (const name of ['fw', 'fw2', 'other/fw']) server.push(name, '1.0.0', Buffer.from(name));
    demanding((kind, name) => ({ scope: `repository:${name}:${kind === 'tags' ? 'metadata_read' : 'pull'}` }));
    const registry = await registryAt({ REGISTRY_URL: server.url });
    for (let round = 0; round < 2; round++)
      for (const name of ['fw', 'fw2', 'other/fw'])
        await registry.fetchManifest(
          name,
          await registry.resolve(name, (await registry.listTags(name, never))[0] ?? '', never),
          never,
        );
    expect(scopesOf(server).sort()).toEqual(
      ['fw', 'fw2', 'other/fw']
        .flatMap((name) => [`repository:${name}:metadata_read`, `repository:${name}:pull`])
        .sort(),
    );
  });

  it.each([401, 403])(
    'that was guessed from another request and is refused with %s is replaced by what is asked for',
    async (status) => {
      for (const name of ['fw', 'fw2']) server.push(name, '1.0.0', Buffer.from(name));
      demanding((_kind, name) => ({ scope: name === 'fw' ? 'repository:fw:pull' : 'repository:fw2:special' }), status);
      const registry = await registryAt({ REGISTRY_URL: server.url });
      expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
      expect(await registry.listTags('fw2', never)).toEqual(['1.0.0']);
    },
  );

  it('that was guessed, and that its service does not give, is not the end', async () => {
    for (const name of ['fw', 'fw2']) server.push(name, '1.0.0', Buffer.from(name));
    demanding((_kind, name) => ({ scope: name === 'fw' ? 'repository:fw:pull' : 'everything' }));
    const fault = server.fault;
    server.fault = (request, response, kind, step) => {
      if (!request.url?.includes('fw2%3Apull')) return fault(request, response, kind, step);
      error(response, 403, 'DENIED');
      return true;
    };
    const registry = await registryAt({ REGISTRY_URL: server.url });
    expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
    expect(await registry.listTags('fw2', never)).toEqual(['1.0.0']);
  });

  it('is kept by service, too', async () => {
    for (const name of ['fw', 'fw2']) server.push(name, '1.0.0', Buffer.from(name));
    demanding((_kind, name) => ({ scope: 'all', service: name }));
    const registry = await registryAt({ REGISTRY_URL: server.url });
    for (let round = 0; round < 3; round++)
      for (const name of ['fw', 'fw2']) expect(await registry.listTags(name, never)).toEqual(['1.0.0']);
    expect(server.count('token')).toBe(2);
  });

  const answers = (body: unknown): ((request: IncomingMessage, response: ServerResponse, kind: Kind) => boolean) => {
    return (request, response, kind) => {
      if (kind === 'token') {
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        response.writeHead(200, { 'Content-Length': Buffer.byteLength(text) }).end(text);
        return true;
      }
      if (request.headers.authorization === 'Bearer good') return false;
      challenge(response, 401, 'fake', 'repository:fw:pull');
      return true;
    };
  };

  it.each([
    { token: 'good', access_token: null, refresh_token: null, expires_in: null, issued_at: null },
    { token: null, access_token: 'good' },
    { token: '', access_token: 'good', expires_in: '300' },
    { token: 'good', expires_in: '300.5' },
    { token: 'good', expires_in: 'soon' },
    { token: 'good', expires_in: { seconds: 3 } },
    { token: 'good', expires_in: -1 },
    { token: 7, access_token: 'good' },
    { token: 'good', refresh_token: 5, scope: [] },
  ])('in %j is good', async (body) => {
    server.push('fw', '1.0.0', Buffer.from('x'));
    server.fault = answers(body);
    const registry = await registryAt({ REGISTRY_URL: server.url });
    expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
    expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
    expect(server.count('token')).toBe(1);
  });

  it.each([
    [{ token: 'good', expires_in: '0' }, 2],
    [{ token: 'good', expires_in: '3600' }, 1],
  ])('%j lives as long as it says, as a number in a string, too', async (body, fetches) => {
    server.push('fw', '1.0.0', Buffer.from('x'));
    server.fault = answers(body);
    const registry = await registryAt({ REGISTRY_URL: server.url });
    await registry.listTags('fw', never);
    await registry.listTags('fw', never);
    expect(server.count('token')).toBeGreaterThanOrEqual(fetches);
    if (fetches === 1) expect(server.count('token')).toBe(1);
  });

  it.each([
    [{}, /without a token/],
    [{ token: null, access_token: '' }, /without a token/],
    ['<html>sign in</html>', /not JSON/],
    ['', /not JSON/],
    ['null', /not a JSON object/],
    ['["good"]', /not a JSON object/],
    [{ token: 7 }, /"token" that is not text/],
    [{ token: 'two\r\nlines' }, /does not fit in a header/],
  ])('missing from %j: the message says what is wrong with it', async (body, message) => {
    server.push('fw', '1.0.0', Buffer.from('x'));
    server.fault = answers(body);
    const registry = await registryAt({ REGISTRY_URL: server.url });
    const failure = await registry.listTags('fw', never).catch((reason: unknown) => reason);
    expect(failure).toMatchObject({ code: 'protocol', message: expect.stringMatching(message) });
    if (!message.source.includes('without')) expect((failure as Error).message).not.toMatch(/without a token/);
  });

  describe('of a registry behind a redirect', () => {
    const mirror = new FakeRegistry();
    beforeAll(() => mirror.start());
    afterAll(() => mirror.stop());
    afterEach(() => {
      mirror.seen.length = 0;
      mirror.fault = () => false;
      mirror.remove('fw');
    });

    const redirecting = (): void => {
      server.push('fw', '1.0.0', Buffer.from('x'));
      mirror.push('fw', '1.0.0', Buffer.from('x'));
      server.auth = { user: 'robot', password: 'secret' };
      server.fault = (request, response, kind) => {
        const granted = server.tokens.has(request.headers.authorization?.replace('Bearer ', '') ?? '');
        if (kind === 'token' || !granted) return false;
        response.writeHead(307, { Location: `${mirror.url}${request.url ?? ''}` }).end();
        return true;
      };
    };
    afterEach(() => {
      server.auth = undefined;
      server.tokens.clear();
    });

    it('is an anonymous one; ours and our credentials stay at home', async () => {
      redirecting();
      mirror.auth = { user: '', password: '' };
      mirror.fault = (request, response, kind) => {
        if (kind !== 'token') return false;
        expect(request.headers.authorization).toBeUndefined();
        mirror.tokens.add('anonymous');
        json(response, 200, { token: 'anonymous', expires_in: 300 });
        return true;
      };
      const registry = await registryAt({ REGISTRY_URL: server.url, ...credentials });
      expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
      expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
      expect(mirror.count('token')).toBe(1);
      expect(JSON.stringify(mirror.seen)).not.toMatch(/Basic|token-\d/);
      mirror.auth = undefined;
      mirror.tokens.clear();
    });

    it('that wants a password gets none', async () => {
      redirecting();
      mirror.fault = (_request, response) => {
        error(response, 401, 'UNAUTHORIZED', { 'WWW-Authenticate': 'Basic realm="mirror"' });
        return true;
      };
      const registry = await registryAt({ REGISTRY_URL: server.url, ...credentials });
      await expect(registry.listTags('fw', never)).rejects.toMatchObject({
        code: 'denied',
        message: expect.stringMatching(`^${mirror.host}, where ${server.host} redirects to, refuses fw: 401`),
      });
      expect(JSON.stringify(mirror.seen)).not.toMatch(/Basic|token-\d/);
    });
  });
});
