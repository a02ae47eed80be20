import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { firmwareBytes, versionBody } from '../support/bytes.js';
import { error, FakeRegistry, INDEX, json, MANIFEST, sha256, type Fault, type Kind } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const firmware = firmwareBytes(300_000);

/** Faults that concern one kind of request only. */
const only =
  (kind: Kind, fault: Fault): Fault =>
  (request, response, seen, step) =>
    seen === kind && fault(request, response, seen, step);
const status = (code: number, name: string, headers: Record<string, string> = {}): Fault => {
  return (_request, response) => {
    error(response, code, name, headers);
    return true;
  };
};
const body = (text: string | Buffer, type: string, headers: Record<string, string> = {}): Fault => {
  return (_request, response) => {
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text), ...headers });
    response.end(text);
    return true;
  };
};
const hang: Fault = () => true;
/** Bytes of the right kind that come a few at a time, and never to an end. */
const trickle: Fault = (_request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  const timer = setInterval(() => response.write(' '), 20);
  response.on('close', () => {
    clearInterval(timer);
  });
  return true;
};
/** The blob with `length` bytes of its own, under the Content-Length that this makes. */
const blobOf = (bytes: Buffer, chunked = false): Fault =>
  only('blob', (_request, response) => {
    if (!chunked) response.setHeader('Content-Length', bytes.length);
    response.writeHead(200).end(bytes);
    return true;
  });

interface Case {
  readonly name: string;
  readonly fault: Fault;
  readonly status: 200 | 404 | 502 | 503;
  /** What the log says of the cause. */
  readonly log: RegExp;
}

const CASES: Case[] = [
  { name: 'hangs', fault: hang, status: 503, log: /time limit|timed out/ },
  { name: 'is slow without end', fault: only('tags', trickle), status: 503, log: /broke off|time limit|timed out/ },
  {
    name: 'cuts every connection',
    fault: (_request, response) => (response.destroy(), true),
    status: 503,
    log: /cannot reach/,
  },
  {
    name: 'answers 401',
    fault: status(401, 'UNAUTHORIZED'),
    status: 502,
    log: /401 UNAUTHORIZED.*credentials are needed/,
  },
  { name: 'answers 403', fault: status(403, 'DENIED'), status: 502, log: /403 DENIED/ },
  { name: 'answers 404', fault: status(404, 'NAME_UNKNOWN'), status: 404, log: /404 NAME_UNKNOWN/ },
  {
    name: 'answers 429 for longer than the deadline',
    fault: status(429, 'TOOMANYREQUESTS', { 'Retry-After': '60' }),
    status: 503,
    log: /429 TOOMANYREQUESTS/,
  },
  { name: 'answers 500', fault: status(500, 'UNKNOWN'), status: 503, log: /500 UNKNOWN/ },
  { name: 'answers 400', fault: status(400, 'NAME_INVALID'), status: 502, log: /400 NAME_INVALID/ },
  {
    name: 'pages in a circle',
    fault: only(
      'tags',
      (_request, response) => (json(response, 200, { tags: ['1.0.0'] }, { Link: '<?n=1>; rel="next"' }), true),
    ),
    status: 502,
    log: /circle/,
  },
  {
    name: 'names a next page on another host',
    fault: only(
      'tags',
      (_request, response) => (
        json(response, 200, { tags: ['1.0.0'] }, { Link: '<http://127.0.0.2:1/x>; rel="next"' }),
        true
      ),
    ),
    status: 502,
    log: /next page is on another host/,
  },
  {
    name: 'says tags: null',
    fault: only('tags', (_request, response) => (json(response, 200, { tags: null }), true)),
    status: 404,
    log: /no tag that is a semantic version/,
  },
  {
    name: 'answers tags that are not JSON',
    fault: only('tags', body('<html>', 'text/html')),
    status: 502,
    log: /not JSON/,
  },
  {
    name: 'answers tags of another shape',
    fault: only('tags', body('{"tags":7}', 'application/json')),
    status: 502,
    log: /no list of tags/,
  },
  {
    name: 'answers a manifest that is not JSON',
    fault: only('manifest', body('<html>', MANIFEST)),
    status: 502,
    log: /another digest|not valid JSON/,
  },
  {
    name: 'answers a manifest of 10 MB',
    fault: only('manifest', body(Buffer.alloc(10_000_000, 0x20), MANIFEST)),
    status: 502,
    log: /more than 4194304 bytes|another digest/,
  },
  {
    name: 'answers schema 1',
    fault: only(
      'manifest',
      body('{"schemaVersion":1,"tag":"1.0.0"}', 'application/vnd.docker.distribution.manifest.v1+prettyjws'),
    ),
    status: 502,
    log: /schema 1 is not supported/,
  },
  {
    name: 'states a digest that the manifest has not',
    fault: only('manifest', (request, response) => {
      const bytes = Buffer.from('{}');
      response.writeHead(200, {
        'Content-Type': MANIFEST,
        'Content-Length': bytes.length,
        'Docker-Content-Digest': sha256(Buffer.from('other')),
      });
      response.end(request.method === 'HEAD' ? undefined : bytes);
      return true;
    }),
    status: 502,
    log: /another digest/,
  },
  { name: 'has lost the blob', fault: only('blob', status(404, 'BLOB_UNKNOWN')), status: 502, log: /404 BLOB_UNKNOWN/ },
  {
    name: 'sends other bytes',
    fault: blobOf(firmwareBytes(firmware.length, 'other')),
    status: 502,
    log: /another digest/,
  },
  {
    name: 'offers a short blob',
    fault: blobOf(firmware.subarray(0, 1000)),
    status: 502,
    log: /offered with 1000 bytes, expected 300000/,
  },
  {
    name: 'sends a short blob without a length',
    fault: blobOf(firmware.subarray(0, 1000), true),
    status: 502,
    log: /ends after 1000 of 300000 bytes/,
  },
  {
    name: 'sends a long blob without a length',
    fault: blobOf(Buffer.concat([firmware, firmware]), true),
    status: 502,
    log: /is longer than its 300000 bytes/,
  },
  {
    name: 'redirects in a circle',
    fault: only('blob', (request, response) => (response.writeHead(307, { Location: request.url }).end(), true)),
    status: 502,
    log: /redirects more than 5 times/,
  },
  {
    name: 'redirects to another protocol',
    fault: only(
      'blob',
      (_request, response) => (response.writeHead(307, { Location: 'file:///etc/passwd' }).end(), true),
    ),
    status: 502,
    log: /not followed/,
  },
];

describe('a registry that', () => {
  const registry = new FakeRegistry();
  const options: TestOptions = { REGISTRY_TIMEOUT: '1300ms', REFRESH_INTERVAL: '0' };
  let service: TestService;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(async () => {
    registry.push('fw', '1.0.0', firmware);
    service = await TestService.start({ ...options, REGISTRY_URL: registry.url });
  });
  afterEach(async () => {
    registry.fault = () => false;
    registry.pageSize = undefined;
    registry.auth = undefined;
    registry.tokens.clear();
    registry.remove('fw');
    registry.seen.length = 0;
    await service.stop();
  });

  const download = async (): Promise<Buffer> => Buffer.from(await (await service.firmware('fw')).arrayBuffer());

  it.each(CASES)(
    '$name: an unknown device gets $status, the log the cause, and the service lives',
    async ({ fault, status: expected, log }) => {
      registry.fault = fault;
      const response = await service.version('fw');
      expect(response.status).toBe(expected);
      expect(response.headers.get('connection')).toBe('close');
      expect(await response.text()).not.toMatch(/127\.0\.0\.1|registry answered \d|\n/);
      if (expected === 503) expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(5);
      expect(service.events('refresh.failed').map((line) => line.reason)).toContainEqual(expect.stringMatching(log));
      expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
    },
  );

  it.each(CASES)('$name: a known device is served as before', async ({ fault }) => {
    expect(await service.versionOf('fw')).toBe('1.0.0');
    registry.push('fw', '1.1.0', firmwareBytes(firmware.length, 'newer'));
    registry.fault = fault;
    const version = await service.version('fw');
    expect({ status: version.status, body: await version.text() }).toEqual({
      status: 200,
      body: versionBody('1.0.0', firmware),
    });
    expect((await download()).equals(firmware)).toBe(true);
    expect(service.events('refresh.failed').length).toBeGreaterThan(0);
    expect(await service.metrics()).toMatch(/^otaflux_stale_releases 1$/m);
  });

  it('is down: an unknown device gets 503, and is served once it is up', async () => {
    await registry.stop();
    const response = await service.version('fw');
    expect(response.status).toBe(503);
    expect(service.events('refresh.failed')[0]?.reason).toMatch(/connection refused/);
    await registry.start();
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the registry to be asked again');
  });

  it('answers 500 and 429 and is well then: nobody notices', async () => {
    let failures = 0;
    registry.fault = (_request, response) => {
      if (++failures > 2) return false;
      if (failures === 1) error(response, 500, 'UNKNOWN');
      else error(response, 429, 'TOOMANYREQUESTS', { 'Retry-After': '0' });
      return true;
    };
    const patient = await TestService.start({ REGISTRY_URL: registry.url });
    expect(await patient.versionOf('fw')).toBe('1.0.0');
    expect(failures).toBeGreaterThan(2);
    await patient.stop();
  });

  it('pages by three is read to its end', async () => {
    for (let minor = 0; minor < 10; minor++) registry.push('fw', `1.${minor}.0`, firmware);
    registry.pageSize = 3;
    expect(await service.versionOf('fw')).toBe('1.9.0');
    expect(registry.count('tags')).toBe(4);
  });

  it('pages without end is not read without end: 502, and the log says so', async () => {
    const patient = await TestService.start({ REGISTRY_URL: registry.url });
    registry.fault = only('tags', (request, response) => {
      const page = Number(new URL(request.url ?? '', 'http://x').searchParams.get('page') ?? 0);
      json(response, 200, { tags: [`0.0.${page}`] }, { Link: `</v2/fw/tags/list?page=${page + 1}>; rel="next"` });
      return true;
    });
    expect(await patient.versionOf('fw')).toBe(502);
    expect(patient.events('refresh.failed')[0]?.reason).toMatch(/has more than 1000 pages/);
    expect(registry.count('tags')).toBe(1000);
    await patient.stop();
  });

  it('has not got the manifest yet that its tag names: 502, and it is served once it is there', async () => {
    registry.fault = only('manifest', (request, response) => {
      if (request.method === 'HEAD') return false;
      error(response, 404, 'MANIFEST_UNKNOWN');
      return true;
    });
    expect(await service.versionOf('fw')).toBe(502);
    registry.fault = () => false;
    await until(async () => (await service.versionOf('fw')) === '1.0.0', 'the manifest to be asked for again');
  });

  it('cuts blobs in the middle is asked for the rest only', async () => {
    const patient = await TestService.start({ REGISTRY_URL: registry.url });
    let cuts = 0;
    registry.fault = only('blob', (request, response) => {
      if (cuts >= 2) return false;
      const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      response.writeHead(start > 0 ? 206 : 200, {
        'Content-Length': firmware.length - start,
        ...(start > 0 && { 'Content-Range': `bytes ${start}-${firmware.length - 1}/${firmware.length}` }),
      });
      response.write(firmware.subarray(start, start + 100_000), () => {
        response.destroy();
      });
      cuts++;
      return true;
    });
    const response = await patient.firmware('fw');
    expect(Buffer.from(await response.arrayBuffer()).equals(firmware)).toBe(true);
    expect(registry.seen.filter(({ kind }) => kind === 'blob').map(({ headers }) => headers.range)).toEqual([
      undefined,
      'bytes=100000-',
      'bytes=200000-',
    ]);
    await patient.stop();
  });

  it('cuts blobs and knows no ranges is asked for the whole again', async () => {
    const patient = await TestService.start({ REGISTRY_URL: registry.url });
    let cuts = 0;
    registry.fault = only('blob', (_request, response) => {
      response.writeHead(200, { 'Content-Length': firmware.length });
      if (cuts++ > 0) response.end(firmware);
      else response.write(firmware.subarray(0, 100_000), () => response.destroy());
      return true;
    });
    const response = await patient.firmware('fw');
    expect(Buffer.from(await response.arrayBuffer()).equals(firmware)).toBe(true);
    expect(cuts).toBe(2);
    await patient.stop();
  });

  it('redirects blobs to another host gives no credentials away', async () => {
    const storage = new FakeRegistry();
    let seen: string | undefined = 'nobody came';
    storage.fault = (request, response) => {
      seen = request.headers.authorization;
      response.writeHead(200, { 'Content-Length': firmware.length }).end(firmware);
      return true;
    };
    await storage.start();
    registry.auth = { user: 'robot', password: 'secret' };
    registry.fault = only(
      'blob',
      (_request, response) => (response.writeHead(307, { Location: `${storage.url}/bucket/blob` }).end(), true),
    );
    const own = await TestService.start({
      ...options,
      REGISTRY_URL: registry.url,
      REGISTRY_USERNAME: 'robot',
      REGISTRY_PASSWORD: 'secret',
    });
    const response = await own.firmware('fw');
    expect(Buffer.from(await response.arrayBuffer()).equals(firmware)).toBe(true);
    expect(registry.seen.find(({ kind }) => kind === 'blob')?.headers.authorization).toMatch(/^Bearer token-/);
    expect(seen).toBeUndefined();
    await own.stop();
    await storage.stop();
  });

  describe('wants tokens', () => {
    const start = (password: string): Promise<TestService> =>
      TestService.start({
        ...options,
        REGISTRY_URL: registry.url,
        REGISTRY_USERNAME: 'robot',
        REGISTRY_PASSWORD: password,
      });

    it('gives one for all who wait, and one more when it expires', async () => {
      registry.auth = { user: 'robot', password: 'secret', expiresIn: 3600 };
      const own = await start('secret');
      const count = (): number =>
        registry.seen.filter(({ kind, url }) => kind === 'token' && url.includes('%3Afw%3A')).length;
      await Promise.all(Array.from({ length: 20 }, () => own.version('fw')));
      expect(count()).toBe(1);
      registry.tokens.clear();
      expect(await own.versionOf('fw')).toBe('1.0.0');
      expect(count()).toBe(2);
      await own.stop();
    });

    it('renews a token that lives for a second before it is refused', async () => {
      registry.auth = { user: 'robot', password: 'secret', expiresIn: 0 };
      const own = await start('secret');
      await own.version('fw');
      await own.version('fw');
      expect(registry.count('token')).toBeGreaterThan(1);
      await own.stop();
    });

    it('refuses wrong credentials: 502, and a log line that says so without them', async () => {
      registry.auth = { user: 'robot', password: 'secret' };
      const own = await start('wrong-password');
      expect(await own.versionOf('fw')).toBe(502);
      expect(own.events('refresh.failed')[0]?.reason).toMatch(
        /token service .* answered 401 UNAUTHORIZED.*the credentials are wrong/,
      );
      expect(JSON.stringify(own.logs)).not.toContain('wrong-password');
      await own.stop();
    });

    it('has its token service down: 503', async () => {
      registry.auth = { user: 'robot', password: 'secret' };
      registry.fault = only('token', status(503, 'UNAVAILABLE'));
      const own = await start('secret');
      expect(await own.versionOf('fw')).toBe(503);
      await own.stop();
    });

    it('grants no token for a repository, as GHCR and Harbor do for what is private or not there: 502, and it is logged', async () => {
      registry.auth = { user: 'robot', password: 'secret' };
      registry.fault = only('token', status(403, 'DENIED'));
      const own = await start('secret');
      expect(await own.versionOf('fw')).toBe(502);
      expect(own.events('refresh.failed')).toMatchObject([{ code: 'denied', level: 'warn' }]);
      await own.stop();
    });
  });

  it('holds an index of images: the first with firmware counts, attestations do not', async () => {
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: registry.putBlob('fw', Buffer.from('{}')),
      size: 2,
    };
    const layer = {
      mediaType: 'application/octet-stream',
      digest: registry.putBlob('fw', firmware),
      size: firmware.length,
    };
    const attestation = registry.putManifest('fw', undefined, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config,
      layers: [{ ...layer, digest: config.digest, size: 2 }],
    });
    const image = registry.putManifest('fw', undefined, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config,
      layers: [layer],
    });
    const entry = (digest: string, extra: object): object => ({
      mediaType: MANIFEST,
      digest,
      size: registry.repository('fw').manifests.get(digest)?.bytes.length,
      ...extra,
    });
    registry.putManifest(
      'fw',
      '3.0.0',
      {
        schemaVersion: 2,
        mediaType: INDEX,
        manifests: [
          entry(attestation, {
            platform: { os: 'unknown', architecture: 'unknown' },
            annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
          }),
          entry(image, { platform: { os: 'linux', architecture: 'arm64' } }),
        ],
      },
      INDEX,
    );
    const response = await service.version('fw');
    expect(await response.text()).toBe(versionBody('3.0.0', firmware));
  });

  it('pushes a version without firmware: devices keep the one before, and the log says why', async () => {
    const config = {
      mediaType: 'application/vnd.oci.empty.v1+json',
      digest: registry.putBlob('fw', Buffer.from('{}')),
      size: 2,
    };
    registry.putManifest('fw', '2.0.0', { schemaVersion: 2, mediaType: MANIFEST, config, layers: [config] });
    expect(await service.versionOf('fw')).toBe('1.0.0');
    expect(service.events('release.passed_over')).toMatchObject([
      { version: '2.0.0', reason: expect.stringContaining('no layer with content') },
    ]);
  });
});
