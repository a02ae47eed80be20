import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { firmwareBytes, versionBody } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { connectTo, RawClient, type RawResponse } from '../support/raw-client.js';
import { TestService, type TestOptions } from '../support/service.js';

const old = firmwareBytes(30_000, 'old');
const next = firmwareBytes(40_000, 'next');
/** More than the kernel's buffers of both ends take. */
const large = firmwareBytes(24 * 1024 * 1024, 'large');

describe('the version that was offered', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  const open: RawClient[] = [];

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.remove('esp32');
    registry.push('esp32', '1.0.0', old);
  });
  afterEach(async () => {
    for (const client of open.splice(0)) client.close();
    await service.stop();
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: registry.url, REFRESH_INTERVAL: '0', ...options });
  };
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.open(service.port);
    open.push(client);
    return client;
  };
  const get = (client: RawClient, path: string, headers = ''): Promise<RawResponse> =>
    client.request(`GET ${path} HTTP/1.1\r\nHost: ota\r\n${headers}\r\n`);
  const offer = async (client: RawClient, headers = ''): Promise<string> =>
    (await get(client, '/version?device=esp32', headers)).body.toString();
  const download = async (client: RawClient, headers = '', query = ''): Promise<string> => {
    const { body } = await get(client, `/firmware?device=esp32${query}`, headers);
    return body.equals(old) ? 'old' : body.equals(next) ? 'next' : body.toString('utf8', 0, 100);
  };
  const release = (): void => {
    registry.push('esp32', '1.1.0', next);
  };

  it('belongs to the client that a trusted proxy forwards, on every connection of the proxy', async () => {
    await start({ TRUST_PROXY: '127.0.0.0/8' });
    const [a, b] = [await connect(), await connect()];
    const [one, two] = ['203.0.113.1:4711', '203.0.113.1:4712'].map((client) => `X-Forwarded-For: ${client}\r\n`);
    expect(await offer(a, one)).toBe(versionBody('1.0.0', old));
    release();
    expect(await download(a, two)).toBe('next');
    expect(await download(b, one)).toBe('old');
    expect(await offer(a, two)).toBe(versionBody('1.1.0', next));
    expect(await download(b, one)).toBe('old');
    expect(await download(b, two)).toBe('next');
  });

  it('does not depend on X-Forwarded-Port, which is the same for all clients', async () => {
    await start({ TRUST_PROXY: '127.0.0.1' });
    const a = await connect();
    const [one, two] = ['203.0.113.1', '203.0.113.2'].map(
      (client) => `X-Forwarded-For: ${client}\r\nX-Forwarded-Port: 443\r\n`,
    );
    await offer(a, one);
    release();
    expect(await download(a, two)).toBe('next');
    expect(await download(a, one)).toBe('old');
  });

  it('is not had by a client that writes the address of another one into its own request', async () => {
    await start({ TRUST_PROXY: '10.0.0.0/8' });
    const [a, b] = [await connect(), await connect()];
    const claim = 'X-Forwarded-For: 203.0.113.1\r\n';
    await offer(a, claim);
    release();
    expect(await download(b, claim)).toBe('next');
    expect(await download(a, claim)).toBe('old');
  });

  it('is downloaded by &version= on any connection, which a pool of connections needs', async () => {
    await start();
    const [a, b] = [await connect(), await connect()];
    await offer(a);
    release();
    await offer(b);
    expect(await download(a, '', '&version=1.1.0')).toBe('next');
    expect(await download(b, '', '&version=1.0.0')).toBe('old');
  });

  it('is downloaded beyond MAX_DOWNLOADS by the client that it was offered to, not by others of its proxy', async () => {
    registry.remove('esp32');
    registry.push('esp32', '1.0.0', large);
    await start({ TRUST_PROXY: '127.0.0.1', MAX_DOWNLOADS: '1' });
    const a = await connect();
    const [one, two] = ['203.0.113.1', '203.0.113.2'].map((client) => `X-Forwarded-For: ${client}\r\n`);
    await offer(a, one);
    const sockets: Socket[] = [];
    /** The first line of the answer; nobody reads the rest. */
    const begin = async (headers = ''): Promise<string> => {
      const socket = await connectTo(service.port);
      sockets.push(socket.on('error', () => undefined));
      socket.write(`GET /firmware?device=esp32 HTTP/1.1\r\nHost: ota\r\n${headers}\r\n`);
      const [piece] = (await once(socket, 'data')) as [Buffer];
      socket.pause();
      return piece.toString('latin1').split('\r\n')[0] ?? '';
    };
    expect(await begin()).toBe('HTTP/1.1 200 OK');
    expect(await begin(one)).toBe('HTTP/1.1 200 OK');
    expect(await begin(two)).toBe('HTTP/1.1 503 Service Unavailable');
    for (const socket of sockets) socket.destroy();
  });
});
