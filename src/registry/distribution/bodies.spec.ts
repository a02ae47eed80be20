import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { firmwareBytes } from '../../../test/support/bytes.js';
import { FakeRegistry, INDEX, MANIFEST, sha256, type Step } from '../../../test/support/fake-registry.js';
import { gather, parseSettings } from '../../config/index.js';
import type { Descriptor, Digest } from '../../oci/index.js';
import { createRegistry, type Registry } from '../index.js';

const never = new AbortController().signal;
const firmware = Buffer.concat([firmwareBytes(200_000), Buffer.alloc(200_000, 'firmware ')]);
const server = new FakeRegistry();
let registry: Registry;
let digest = '';
let blob: Descriptor;

async function registryAt(timeout: string, url = server.url): Promise<Registry> {
  return createRegistry(
    parseSettings(await gather({ flags: {}, environment: { REGISTRY_URL: url, REGISTRY_TIMEOUT: timeout } })),
  );
}

beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(async () => {
  registry = await registryAt('60s');
  digest = server.push('fw', '1.0.0', firmware);
  blob = { mediaType: 'application/octet-stream', digest: sha256(firmware) as Digest, size: firmware.length };
});
afterEach(() => {
  server.fault = () => false;
  server.redirectsBlobs = false;
  server.seen.length = 0;
  server.remove('fw');
});

const read = async (wanted = blob, from = registry): Promise<Buffer> =>
  Buffer.concat((await (await from.fetchBlob('fw', wanted, never)).toArray()) as Buffer[]);
const at = (step: Step, answer: (request: IncomingMessage, response: ServerResponse) => void): void => {
  server.fault = (request, response, _kind, seen) => {
    if (seen !== step) return false;
    answer(request, response);
    return true;
  };
};
const startOf = (request: IncomingMessage): number =>
  Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);

const CODINGS: [string, (bytes: Buffer) => Buffer][] = [
  ['gzip', (bytes) => gzipSync(bytes)],
  ['x-gzip', (bytes) => gzipSync(bytes)],
  ['GZIP', (bytes) => Buffer.concat([gzipSync(bytes.subarray(0, 10)), gzipSync(bytes.subarray(10))])],
  ['deflate', (bytes) => deflateSync(bytes)],
  ['deflate', (bytes) => deflateRawSync(bytes)],
  ['br', (bytes) => brotliCompressSync(bytes)],
  ['gzip, br', (bytes) => brotliCompressSync(gzipSync(bytes))],
  ['identity', (bytes) => bytes],
];

describe('an answer', () => {
  it('is asked for as it is', async () => {
    await registry.listTags('fw', never);
    await registry.fetchManifest('fw', await registry.resolve('fw', '1.0.0', never), never);
    await read();
    expect(server.seen.map(({ headers }) => headers['accept-encoding'])).toEqual([
      'identity',
      'identity',
      'identity',
      'identity',
    ]);
  });

  it.each(CODINGS)(
    'that comes compressed all the same (%s) is decompressed before its digest is compared',
    async (coding, encode) => {
      server.fault = (request, response, kind) => {
        const stored = server.repository('fw').manifests.get(digest)!;
        const bytes =
          kind === 'manifest' ? stored.bytes : kind === 'blob' ? firmware : Buffer.from('{"tags":["1.0.0"]}');
        const body = encode(bytes);
        response.writeHead(200, {
          'Content-Type': kind === 'manifest' ? stored.mediaType : 'application/octet-stream',
          'Content-Encoding': coding,
          'Content-Length': body.length,
          ...(kind === 'manifest' && { 'Docker-Content-Digest': digest }),
        });
        response.end(request.method === 'HEAD' ? undefined : body);
        return true;
      };
      expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
      const descriptor = await registry.resolve('fw', '1.0.0', never);
      expect(descriptor).toMatchObject({ digest, size: server.repository('fw').manifests.get(digest)!.bytes.length });
      await registry.fetchManifest('fw', descriptor, never);
      expect((await read()).equals(firmware)).toBe(true);
    },
  );

  it('of a few bytes that unpacks to more than the limit is refused on the way', async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
    const before = process.memoryUsage().rss;
    for (const step of ['tags', 'manifest by digest', 'referrers', 'blob'] as const) {
      at(step, (_request, response) => {
        response.writeHead(200, {
          'Content-Type': step === 'tags' ? 'application/json' : step === 'referrers' ? INDEX : MANIFEST,
          'Content-Encoding': 'gzip',
        });
        response.end(bomb);
      });
      const manifest: Descriptor = { mediaType: MANIFEST, digest: digest as Digest, size: 300 };
      const work = {
        tags: () => registry.listTags('fw', never),
        'manifest by digest': () => registry.fetchManifest('fw', manifest, never),
        referrers: () => registry.listReferrers('fw', digest as Digest, undefined, never),
        blob: () => read(),
      };
      await expect(work[step]()).rejects.toMatchObject({
        code: 'protocol',
        message: expect.stringMatching(/more than \d+ bytes|is longer than its/),
      });
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  });

  it.each(['zstd', 'compress', 'constructor'])('in the coding %s, which is not known, is refused', async (coding) => {
    at('blob', (_request, response) => {
      response.writeHead(200, { 'Content-Encoding': coding }).end('x');
    });
    await expect(read()).rejects.toMatchObject({ code: 'protocol', message: expect.stringMatching(/coding/) });
  });

  it('that is called compressed and is not, is refused; with the length of the blob it is the blob', async () => {
    at('blob', (_request, response) => {
      response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(firmware);
    });
    await expect(read()).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringMatching(/is not gzip, as its Content-Encoding says/),
    });
    // Object storage that was told of a .tar.gz that it is encoded.
    const layer = gzipSync(firmware);
    server.putBlob('fw', layer);
    at('blob', (_request, response) => {
      response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': layer.length }).end(layer);
    });
    expect((await read({ ...blob, digest: sha256(layer) as Digest, size: layer.length })).equals(layer)).toBe(true);
  });

  it('that comes compressed and is cut is begun again, not resumed with a range of compressed bytes', async () => {
    const body = gzipSync(firmware);
    let cuts = 0;
    at('blob', (_request, response) => {
      response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': body.length });
      if (cuts++ > 0) response.end(body);
      else response.write(body.subarray(0, 150_000), () => response.destroy());
    });
    expect((await read()).equals(firmware)).toBe(true);
    expect(server.seen.map(({ headers }) => headers.range)).toEqual([undefined, undefined]);
  });
});

describe('a blob', () => {
  const part = (
    request: IncomingMessage,
    response: ServerResponse,
    length: number,
    headers: Record<string, string | number> = {},
  ): void => {
    const start = startOf(request);
    const piece = firmware.subarray(start, start + length);
    const range = { 'Content-Range': `bytes ${start}-${start + piece.length - 1}/${firmware.length}` };
    response.writeHead(start > 0 ? 206 : 200, { 'Content-Length': piece.length, ...(start > 0 && range), ...headers });
    response.end(piece);
  };

  it('is resumed where a 206 brings less than was asked for', async () => {
    let first = true;
    at('blob', (request, response) => {
      if (!first) {
        part(request, response, 100_000);
        return;
      }
      first = false;
      response
        .writeHead(200, { 'Content-Length': firmware.length })
        .write(firmware.subarray(0, 50_000), () => response.destroy());
    });
    expect((await read()).equals(firmware)).toBe(true);
    expect(server.seen.map(({ headers }) => headers.range)).toEqual(
      [undefined, 50_000, 150_000, 250_000, 350_000].map((start) => start && `bytes=${start}-`),
    );
  });

  it.each(['HTTP/1.0, whose end says nothing', 'chunked, with an end that is too early'])(
    'is resumed where a 200 is cut: %s',
    async (how) => {
      at('blob', (request, response) => {
        if (startOf(request) > 0) {
          part(request, response, firmware.length);
          return;
        }
        if (how.startsWith('chunked')) response.writeHead(200).end(firmware.subarray(0, 150_000));
        else
          response.socket?.end(Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\n\r\n'), firmware.subarray(0, 150_000)]));
      });
      expect((await read()).equals(firmware)).toBe(true);
      expect(server.seen.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=150000-']);
    },
  );

  it('that ends early and never comes further is given up at once', async () => {
    at('blob', (request, response) => {
      if (startOf(request) === 0) response.writeHead(200).end(firmware.subarray(0, 1000));
      else response.writeHead(206, { 'Content-Range': `bytes 1000-${firmware.length - 1}/${firmware.length}` }).end();
    });
    await expect(read()).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringMatching(/ends after 1000 of 400000/),
    });
    expect(server.count('blob')).toBe(2);
  });

  it.each([400, 416, 501])('is begun again where a range is refused with %s', async (status) => {
    let first = true;
    at('blob', (request, response) => {
      if (startOf(request) > 0) response.writeHead(status).end();
      else if (first)
        response
          .writeHead(200, { 'Content-Length': firmware.length })
          .write(firmware.subarray(0, 50_000), () => response.destroy());
      else response.writeHead(200).end(firmware);
      first = false;
    });
    expect((await read()).equals(firmware)).toBe(true);
    expect(server.count('blob')).toBe(3);
  });

  it.each([
    ['bytes 7-399999/400000', 'protocol'],
    ['bytes 50000-399999/500000', 'protocol'],
    ['items 50000-399999/400000', 'protocol'],
  ])('is not put together from another range (%s)', async (range, code) => {
    at('blob', (request, response) => {
      if (startOf(request) > 0) part(request, response, firmware.length, { 'Content-Range': range });
      else
        response
          .writeHead(200, { 'Content-Length': firmware.length })
          .write(firmware.subarray(0, 50_000), () => response.destroy());
    });
    await expect(read()).rejects.toMatchObject({ code });
  });

  it('that object storage refuses is refused by that, says the message', async () => {
    server.redirectsBlobs = true;
    at('blob after redirect', (_request, response) => {
      response.writeHead(403, { 'Content-Type': 'application/xml' });
      response.end(
        '<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message><Expires>x</Expires></Error>',
      );
    });
    const failure = (await read().catch((reason: unknown) => reason)) as Error;
    expect(failure).toMatchObject({ code: 'denied' });
    expect(failure.message).toMatch(
      `${new URL(server.storageUrl).host}, where ${server.host} redirects to, refuses fw: 403 AccessDenied: Request has expired`,
    );
    expect(failure.message).not.toMatch(/credentials are needed|credentials are wrong/);
  });

  it.each([
    [404, 'absent'],
    [400, 'protocol'],
  ])('that object storage answers with %s is that of the storage, says the message', async (status, code) => {
    server.redirectsBlobs = true;
    at('blob after redirect', (_request, response) => {
      response.writeHead(status).end();
    });
    await expect(read()).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`${new URL(server.storageUrl).host}, where`),
    });
  });

  it('is fetched through a redirect, without a word about us', async () => {
    server.redirectsBlobs = true;
    expect((await read()).equals(firmware)).toBe(true);
    expect(server.seen.map(({ step }) => step)).toEqual(['blob', 'blob after redirect']);
  });
});
