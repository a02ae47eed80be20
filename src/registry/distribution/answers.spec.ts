import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import {
  error,
  FakeRegistry,
  INDEX,
  json,
  MANIFEST,
  sha256,
  type Fault,
  type Step,
} from '../../../test/support/fake-registry.js';
import { gather, parseSettings } from '../../config/index.js';
import type { Digest } from '../../oci/index.js';
import { createRegistry, type Registry } from '../index.js';
import { Endpoint } from './endpoint.js';

const never = new AbortController().signal;

async function registryAt(url: string, timeout = '60s'): Promise<Registry> {
  return createRegistry(
    parseSettings(await gather({ flags: {}, environment: { REGISTRY_URL: url, REGISTRY_TIMEOUT: timeout } })),
  );
}

/** What is tried again must come to an end; everything else must not be cut short on a busy machine. */
const patienceFor = (code: string): string => (code === 'unavailable' ? '300ms' : '60s');

const server = new FakeRegistry();
let registry: Registry;
let digest = '';
beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(async () => {
  registry = await registryAt(server.url);
  digest = server.push('fw', '1.0.0', Buffer.from('x'));
});
afterEach(() => {
  server.fault = () => false;
  server.pageSize = undefined;
  server.hasReferrers = server.redirectsBlobs = false;
  server.seen.length = 0;
  for (const name of [...server.names()]) server.remove(name);
});

/** A fault of one step; `matches` narrows it down. */
const at =
  (step: Step, answer: (response: ServerResponse) => void, matches: (url: string) => boolean = () => true): Fault =>
  (request, response, _kind, seen) => {
    if (seen !== step || !matches(request.url ?? '')) return false;
    answer(response);
    return true;
  };
const html = (response: ServerResponse): void => {
  response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>sign in</html>');
};

describe('the tags list of a registry that', () => {
  it.each([400, 416, 422])('refuses n with %s is asked for without it, and that is remembered', async (status) => {
    for (const tag of ['1.1.0', '1.2.0']) server.push('fw', tag, Buffer.from('x'));
    server.push('fw2', '1.0.0', Buffer.from('x'));
    server.fault = at(
      'tags',
      (response) => {
        error(response, status, 'PAGINATION_NUMBER_INVALID');
      },
      (url) => url.includes('n='),
    );
    expect((await registry.listTags('fw', never)).length).toBe(3);
    server.seen.length = 0;
    expect((await registry.listTags('fw2', never)).length).toBe(1);
    expect(server.seen.map(({ url }) => url)).toEqual(['/v2/fw2/tags/list']);
  });

  it('refuses something else is not asked without n for ever', async () => {
    server.fault = at('tags', (response) => {
      error(response, 400, 'NAME_INVALID');
    });
    await expect(registry.listTags('fw', never)).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringMatching(/400 NAME_INVALID/),
    });
    server.fault = () => false;
    server.seen.length = 0;
    await registry.listTags('fw', never);
    expect(server.seen[0]?.url).toMatch(/n=1000/);
  });

  it.each([
    [400, 'protocol'],
    [403, 'denied'],
    [404, 'protocol'],
    [410, 'protocol'],
    [500, 'unavailable'],
  ])('answers %s on a later page has not ended there: %s', async (status, code) => {
    for (const tag of ['1.1.0', '1.2.0']) server.push('fw', tag, Buffer.from('x'));
    server.pageSize = 1;
    server.fault = at(
      'next page',
      (response) => {
        error(response, status, 'NAME_UNKNOWN');
      },
      (url) => url.includes('last=1.1.0'),
    );
    await expect((await registryAt(server.url, patienceFor(code))).listTags('fw', never)).rejects.toMatchObject({
      code,
    });
  });

  it.each([
    ['/v2/fw/tags/list?last=1.0.0; rel="next"'],
    ['<http://[>; rel="next"'],
    ['</v2/fw/tags/list?last=1.0.0; rel="next"'],
    ['</v2/fw/tags/list?last=1.0.0>'],
    ['</v2/fw/tags/list?last=1.0.0>; rel='],
    ['next'],
    ['</a>; rel="prev", </v2/fw/tags/list?last=1.0.0'],
  ])('sends Link: %s cannot be read to its end', async (link) => {
    server.fault = at('tags', (response) => {
      json(response, 200, { tags: ['1.0.0'] }, { Link: link });
    });
    await expect(registry.listTags('fw', never)).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringMatching(/link/i),
    });
  });

  it.each([
    ['</v2/fw/tags/list?last=1.0.0>; rel="next"'],
    ['</v2/fw/tags/list?last=1.0.0>;rel=next'],
    ['</v2/fw/tags/list?last=1.0.0>; REL="Next"; title="a, b"'],
    ['</v2/fw/tags/list?last=1.0.0>; title="x; y=\\"z\\""; rel="last next"'],
    ['</v2/fw/tags/list>; rel="first", </v2/fw/tags/list?last=1.0.0>; rel="next"'],
    [['</v2/fw/tags/list>; rel="first"', '</v2/fw/tags/list?last=1.0.0>; rel="next"']],
    ['<?last=1.0.0>; rel="next"'],
    [`<http://HOST/v2/fw/tags/list?last=1.0.0>; rel="next"`],
    [`<https://HOST/v2/fw/tags/list?last=1.0.0>; rel="next"`],
  ])('sends Link: %j is followed', async (link) => {
    server.push('fw', '1.1.0', Buffer.from('x'));
    const real = JSON.parse(JSON.stringify(link).replace('HOST', server.host)) as string;
    server.fault = at('tags', (response) => {
      json(response, 200, { tags: ['1.0.0'] }, { Link: real });
    });
    expect((await registry.listTags('fw', never)).sort()).toEqual(['1.0.0', '1.1.0']);
  });

  it.each([['</v2/fw/tags/list>; rel="first"'], [''], ['</v2/fw/tags/list?last=0>; rel=prev']])(
    'sends Link: %j has ended',
    async (link) => {
      server.fault = at('tags', (response) => {
        json(response, 200, { tags: ['1.0.0'] }, { Link: link });
      });
      expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
    },
  );
});

describe('HEAD of a manifest', () => {
  it.each([400, 403, 404, 405, 406, 415, 501])('that is answered with %s is confirmed by GET', async (status) => {
    server.fault = at('manifest HEAD', (response) => {
      response.writeHead(status).end();
    });
    expect((await registry.resolve('fw', '1.0.0', never)).digest).toBe(digest);
    expect(server.count('manifest')).toBe(2);
  });

  it.each([405, 501])('that is answered with %s is not tried again in that repository', async (status) => {
    server.push('fw2', '1.0.0', Buffer.from('x'));
    server.fault = at('manifest HEAD', (response) => {
      response.writeHead(status).end();
    });
    for (let round = 0; round < 3; round++) await registry.resolve('fw', '1.0.0', never);
    expect(server.count('manifest', 'HEAD')).toBe(1);
    expect(server.count('manifest', 'GET')).toBe(3);
    await registry.resolve('fw2', '1.0.0', never);
    expect(server.count('manifest', 'HEAD')).toBe(2);
  });

  it.each([
    [403, 'denied'],
    [404, 'absent'],
  ])('and GET that are both answered with %s are believed: %s', async (status, code) => {
    server.fault = (_request, response, kind) => {
      if (kind !== 'manifest') return false;
      error(response, status, 'NO');
      return true;
    };
    await expect(registry.resolve('fw', '1.0.0', never)).rejects.toMatchObject({ code });
  });

  it('is not followed by a GET where the registry is overloaded', async () => {
    server.fault = at('manifest HEAD', (response) => {
      response.writeHead(429, { 'Retry-After': '60' }).end();
    });
    await expect(registry.resolve('fw', '1.0.0', never)).rejects.toMatchObject({ code: 'unavailable' });
    expect(server.count('manifest', 'GET')).toBe(0);
  });

  it.each([
    ['text/html', '20'],
    [MANIFEST, '0'],
    [MANIFEST, undefined],
  ])('of type %s and length %s says too little', async (type, length) => {
    server.fault = at('manifest HEAD', (response) => {
      response
        .writeHead(200, {
          'Content-Type': type,
          'Docker-Content-Digest': digest,
          ...(length !== undefined && { 'Content-Length': length }),
        })
        .end();
    });
    const resolved = await registry.resolve('fw', '1.0.0', never);
    expect(resolved).toMatchObject({ digest, mediaType: MANIFEST });
    expect(resolved.size).toBeGreaterThan(20);
  });

  it('may write its media type in capitals', async () => {
    server.fault = (request, response, kind) => {
      if (kind !== 'manifest') return false;
      const { bytes } = server.repository('fw').manifests.get(digest)!;
      response.writeHead(200, {
        'Content-Type': `${MANIFEST.toUpperCase()}; charset=utf-8`,
        'Content-Length': bytes.length,
        'Docker-Content-Digest': digest,
      });
      response.end(request.method === 'HEAD' ? undefined : bytes);
      return true;
    };
    const descriptor = await registry.resolve('fw', '1.0.0', never);
    expect(descriptor.mediaType).toBe(MANIFEST);
    expect((await registry.fetchManifest('fw', descriptor, never)).content.kind).toBe('manifest');
  });

  it('and its GET may be of a type that says nothing', async () => {
    const { bytes } = server.repository('fw').manifests.get(digest)!;
    server.fault = (request, response, kind) => {
      if (kind !== 'manifest') return false;
      response.writeHead(200, { 'Content-Type': 'binary/octet-stream', 'Content-Length': bytes.length });
      response.end(request.method === 'HEAD' ? undefined : bytes);
      return true;
    };
    expect(await registry.resolve('fw', '1.0.0', never)).toMatchObject({ digest, mediaType: MANIFEST });
  });
});

describe('the referrers API', () => {
  const subject = sha256(Buffer.from('subject')) as Digest;
  let referrer = '';
  beforeEach(() => {
    referrer = server.putManifest('fw', undefined, { schemaVersion: 2 });
    server.putManifest(
      'fw',
      subject.replace(':', '-'),
      { schemaVersion: 2, mediaType: INDEX, manifests: [{ mediaType: MANIFEST, digest: referrer, size: 20 }] },
      INDEX,
    );
  });
  const list = (own = registry): Promise<string[]> =>
    own.listReferrers('fw', subject, 'any', never).then((found) => found.map((entry) => entry.digest));

  it.each([400, 404, 405, 406, 415, 501])('that answers %s is none: the tag is read', async (status) => {
    server.fault = at('referrers', (response) => {
      error(response, status, 'UNSUPPORTED');
    });
    expect(await list()).toEqual([referrer]);
    expect(server.count('referrers')).toBe(1);
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ['a login page', html],
    [
      'nothing',
      (response) => {
        response.writeHead(200).end();
      },
    ],
    [
      'an empty object',
      (response) => {
        json(response, 200, {});
      },
    ],
    [
      'null',
      (response) => {
        json(response, 200, null);
      },
    ],
    [
      'a list',
      (response) => {
        json(response, 200, []);
      },
    ],
    [
      'an error with status 200',
      (response) => {
        json(response, 200, { errors: [{ code: 'UNSUPPORTED' }] });
      },
    ],
    [
      'a manifest',
      (response) => {
        json(
          response,
          200,
          { schemaVersion: 2, mediaType: MANIFEST, config: {}, layers: [] },
          { 'Content-Type': MANIFEST },
        );
      },
    ],
    [
      'an index of another schema',
      (response) => {
        json(response, 200, { schemaVersion: 1, manifests: [] });
      },
    ],
    [
      '204',
      (response) => {
        response.writeHead(204).end();
      },
    ],
  ])('that answers %s is none: the tag is read', async (_name, answer) => {
    server.fault = at('referrers', answer);
    expect(await list()).toEqual([referrer]);
  });

  it('that answers an empty index is one: the tag is not read', async () => {
    server.hasReferrers = true;
    expect(await list()).toEqual([]);
    server.fault = at('referrers', (response) => {
      json(response, 200, { schemaVersion: 2, manifests: null });
    });
    expect(await list()).toEqual([]);
  });

  it.each([
    [401, 'denied'],
    [403, 'denied'],
    [429, 'unavailable'],
    [500, 'unavailable'],
    [503, 'unavailable'],
    [409, 'protocol'],
  ])('that answers %s fails: %s', async (status, code) => {
    server.fault = at('referrers', (response) => {
      error(response, status, 'NO', { 'Retry-After': '60' });
    });
    await expect(list(await registryAt(server.url, patienceFor(code)))).rejects.toMatchObject({ code });
  });

  it.each([
    [404, 'protocol'],
    [400, 'protocol'],
    [500, 'unavailable'],
    [200, 'protocol'],
  ])('that answers %s on a later page fails: %s', async (status, code) => {
    server.fault = (request, response, kind) => {
      if (kind !== 'referrers') return false;
      if (!request.url?.includes('page=2'))
        json(
          response,
          200,
          { schemaVersion: 2, mediaType: INDEX, manifests: [] },
          { Link: `<${request.url ?? ''}&page=2>; rel="next"` },
        );
      else if (status === 200) html(response);
      else error(response, status, 'NO');
      return true;
    };
    await expect(list(await registryAt(server.url, patienceFor(code)))).rejects.toMatchObject({ code });
  });

  it('that is cut fails', async () => {
    server.fault = at('referrers', (response) => {
      response
        .writeHead(200, { 'Content-Type': INDEX, 'Content-Length': 1000 })
        .write('{"schemaVersion":2', () => response.destroy());
    });
    await expect(list(await registryAt(server.url, '300ms'))).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('that lists what is not understood beside what is lists the rest', async () => {
    server.fault = at('referrers', (response) => {
      const good = {
        mediaType: MANIFEST,
        digest: referrer,
        size: 20,
        artifactType: 'ANY',
        annotations: null,
        platform: null,
        data: null,
      };
      json(response, 200, {
        schemaVersion: 2,
        mediaType: INDEX,
        artifactType: null,
        annotations: null,
        subject: null,
        manifests: [null, { ...good, digest: 'blake3:00' }, 'x', { ...good, size: -1 }, good],
      });
    });
    expect(await list()).toEqual([referrer]);
  });
});

describe('the address of a request', () => {
  it.each(['../_catalog', 'fw/../../api', 'FW', 'fw?x=', 'fw#x', '', '/fw', 'fw/', 'f%2fw', 'fw\\x', 'x'.repeat(300)])(
    'is refused for the repository %j',
    (name) => {
      expect(() => new Endpoint(server.url, '').url(name, 'tags/list')).toThrow(
        expect.objectContaining({ code: 'protocol' }),
      );
      expect(() => new Endpoint(server.url, 'docker-local').url(name, 'tags/list')).toThrow(/repository name/);
    },
  );

  it.each([
    'manifests/../../x',
    'manifests/',
    'manifests/a/b',
    'manifests/sha256:1',
    'manifests/1.0.0?x',
    'blobs/..',
    'blobs/1.0.0',
    'blobs/sha256:zz',
    'referrers/1.0.0',
    '../x',
    'other/x',
    '',
  ])('is refused for what follows the name: %j', (rest) => {
    expect(() => new Endpoint(server.url, '').url('fw', rest)).toThrow(expect.objectContaining({ code: 'protocol' }));
  });

  it.each([
    'tags/list',
    'tags/list?n=1000',
    'manifests/1.0.0',
    `manifests/${sha256(Buffer.from('x'))}`,
    `blobs/${sha256(Buffer.from('x'))}`,
    'blobs/uploads/',
    `referrers/${sha256(Buffer.from('x'))}?artifactType=a%2Fb`,
  ])('is made of %j', (rest) => {
    expect(new Endpoint('https://r.example', 'p').url('fw', rest).href).toBe(`https://r.example/v2/p/fw/${rest}`);
  });

  it.each(['../../api/v2.0/users?x=', 'fw/../x'])('never leaves the repository: %j is not asked for', async (name) => {
    const blob = { mediaType: 'x/y', digest: sha256(Buffer.from('x')) as Digest, size: 1 };
    await expect(registry.listTags(name, never)).rejects.toMatchObject({ code: 'protocol' });
    await expect(registry.resolve(name, '1.0.0', never)).rejects.toMatchObject({ code: 'protocol' });
    await expect(registry.fetchManifest(name, blob, never)).rejects.toMatchObject({ code: 'protocol' });
    await expect(registry.fetchBlob(name, blob, never)).rejects.toMatchObject({ code: 'protocol' });
    await expect(registry.listReferrers(name, blob.digest, undefined, never)).rejects.toMatchObject({
      code: 'protocol',
    });
    await expect(registry.resolve('fw', '../x', never)).rejects.toMatchObject({ code: 'protocol' });
    expect(server.seen).toEqual([]);
  });
});
