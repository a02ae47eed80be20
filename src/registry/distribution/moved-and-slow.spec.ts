import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { firmwareBytes } from '../../../test/support/bytes.js';
import { error, FakeRegistry, json, sha256 } from '../../../test/support/fake-registry.js';
import { until } from '../../../test/support/service.js';
import { gather, parseSettings } from '../../config/index.js';
import type { Descriptor, Digest } from '../../oci/index.js';
import { createRegistry, type Registry } from '../index.js';

const never = new AbortController().signal;
let server: FakeRegistry;
beforeEach(async () => {
  server = await new FakeRegistry().start();
  server.push('fw', '1.0.0', firmwareBytes(100_000));
});
afterEach(() => server.stop());
const registryAt = async (timeout: string): Promise<Registry> =>
  createRegistry(
    parseSettings(
      await gather({
        flags: {},
        environment: {
          REGISTRY_URL: server.url,
          REGISTRY_TIMEOUT: timeout,
          REGISTRY_USERNAME: 'robot',
          REGISTRY_PASSWORD: 'secret',
        },
      }),
    ),
  );

it.each([401, 403, 404, 400, 500])(
  'a token service that moved, and answers %d where it was, is found where it is',
  async (status) => {
    let realm = `${server.url}/token`;
    server.fault = (request, response, kind) => {
      const { pathname } = new URL(request.url ?? '', server.url);
      if (kind === 'token' || pathname === '/v2/token') {
        if (`${server.url}${pathname}` === realm) json(response, 200, { token: `at-${pathname}`, expires_in: 1 });
        else error(response, status, 'GONE');
        return true;
      }
      if (request.headers.authorization === `Bearer at-${new URL(realm).pathname}`) return false;
      error(response, 401, 'UNAUTHORIZED', {
        'WWW-Authenticate': `Bearer realm="${realm}",service="fake",scope="repository:fw:pull"`,
      });
      return true;
    };
    const registry = await registryAt('10s');
    expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
    realm = `${server.url}/v2/token`;
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await registry.listTags('fw', never).catch(() => undefined);
    expect(await registry.listTags('fw', never)).toEqual(['1.0.0']);
    await registry.close();
  },
);

it('a challenge with a long page, and a token service that is down, hold no connection', async () => {
  let open = 0;
  server.fault = (_request, response, kind) => {
    if (kind === 'token') {
      error(response, 500, 'DOWN');
      return true;
    }
    open++;
    response.on('close', () => open--);
    response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${server.url}/token",service="fake"` });
    response.end(Buffer.alloc(8 * 1024 * 1024, 'a login page '));
    return true;
  };
  const registry = await registryAt('20s');
  await registry.listTags('fw', never).catch(() => undefined);
  await until(() => open === 0, 'the connections to be closed');
  await registry.close();
});

it('the time that a registry asks to wait before a blob is not the time that the blob takes', async () => {
  const bytes = firmwareBytes(100_000);
  const blob: Descriptor = { mediaType: 'x', digest: sha256(bytes) as Digest, size: bytes.length };
  let asked = 0;
  server.fault = (_request, response, kind) => {
    if (kind !== 'blob') return false;
    if (asked++ === 0) error(response, 429, 'TOOMANYREQUESTS', { 'Retry-After': '3' });
    else {
      response.writeHead(200, { 'Content-Length': bytes.length });
      response.write(bytes.subarray(0, 1_000));
      setTimeout(() => response.end(bytes.subarray(1_000)), 100);
    }
    return true;
  };
  const registry = await registryAt('2s');
  const read = Buffer.concat((await (await registry.fetchBlob('fw', blob, never)).toArray()) as Buffer[]);
  expect(read.equals(bytes)).toBe(true);
  await registry.close();
});
