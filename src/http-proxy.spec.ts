import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request, type Dispatcher } from 'undici';
import { Authority } from '../test/support/authority.js';
import { createDispatcher } from './http-proxy.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-proxy-'));
const started: Server[] = [];
const dispatchers: Dispatcher[] = [];

async function listen(server: Server): Promise<number> {
  started.push(server.listen(0, '127.0.0.1'));
  await new Promise((resolve) => server.once('listening', resolve));
  return (server.address() as AddressInfo).port;
}

let http = '';
let https = '';
let proxy = '';
/** Request lines, and the credentials with them, as the proxy saw them. */
const asked: string[] = [];
let credentials: (string | undefined)[] = [];
const seenByServer: (string | undefined)[] = [];
let ca: Buffer;

beforeAll(async () => {
  const { cert, keyPath } = new Authority(folder, '127.0.0.1', 'IP:127.0.0.1');
  ca = readFileSync(cert);
  const http1 = createServer((incoming, response) => {
    seenByServer.push(incoming.headers['proxy-authorization']);
    response.end(`plain ${incoming.headers.host ?? ''} ${incoming.url ?? ''}`);
  });
  http = `http://127.0.0.1:${await listen(http1)}`;
  const tls = createHttpsServer(
    { key: readFileSync(keyPath), cert: ca },
    (_incoming, response) => void response.end('secret'),
  );
  https = `https://127.0.0.1:${await listen(tls)}`;
  const server = createServer((incoming, response) => {
    asked.push(`${incoming.method ?? ''} ${incoming.url ?? ''}`);
    credentials.push(incoming.headers['proxy-authorization']);
    const headers = { ...incoming.headers };
    delete headers['proxy-authorization'];
    incoming.pipe(
      httpRequest(incoming.url ?? '', { method: incoming.method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(response);
      }).on('error', () => response.writeHead(502).end()),
    );
  });
  server.on('connect', (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url ?? ''}`);
    credentials.push(incoming.headers['proxy-authorization']);
    const [host = '', port = ''] = (incoming.url ?? '').split(':');
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [upstream, socket]) end.on('error', () => void (upstream.destroy(), socket.destroy()));
  });
  proxy = `127.0.0.1:${await listen(server)}`;
});
afterEach(async () => {
  for (const dispatcher of dispatchers.splice(0)) await dispatcher.destroy();
  asked.length = seenByServer.length = 0;
  credentials = [];
});
afterAll(() => {
  for (const server of started) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true, force: true });
});

const get = async (url: string, environment: Record<string, string>): Promise<string> => {
  const dispatcher = createDispatcher({ tls: { ca }, timeoutMs: 2000, connections: 2 }, environment);
  dispatchers.push(dispatcher);
  return (await request(url, { dispatcher })).body.text();
};

describe('a proxy of the environment', () => {
  it.each([
    ['http_proxy', 'http://PROXY'],
    ['HTTP_PROXY', 'http://PROXY/'],
    ['HTTP_PROXY', 'PROXY'],
    ['http_proxy', 'HTTP://PROXY'],
  ])('%s=%s takes plain http in absolute form', async (name, value) => {
    const body = await get(`${http}/a?b=c`, {
      [name]: value.replace('PROXY', proxy),
      https_proxy: 'http://127.0.0.1:1',
    });
    expect(body).toBe(`plain ${new URL(http).host} /a?b=c`);
    expect(asked).toEqual([`GET ${http}/a?b=c`]);
  });

  it.each([
    ['https_proxy', 'http://PROXY'],
    ['HTTPS_PROXY', 'PROXY'],
    ['HTTPS_PROXY', 'http://PROXY/'],
  ])('%s=%s takes https through a tunnel', async (name, value) => {
    expect(await get(`${https}/a`, { [name]: value.replace('PROXY', proxy) })).toBe('secret');
    expect(asked).toEqual([`CONNECT ${new URL(https).host}`]);
  });

  it.each(['HTTP_PROXY', 'http_proxy'])('%s is not for https, nor HTTPS_PROXY for http', async (name) => {
    expect(await get(https, { [name]: proxy })).toBe('secret');
    expect(await get(http, { [name.replace(/http/i, '$&s').replace('HTTPs', 'HTTPS')]: proxy })).toMatch(/^plain/);
    expect(asked).toEqual([]);
  });

  it('in lower case counts before upper case, and an empty value is none', async () => {
    await get(http, { http_proxy: proxy, HTTP_PROXY: 'http://127.0.0.1:1' });
    expect(asked).toHaveLength(1);
    await get(http, { http_proxy: '', HTTP_PROXY: proxy });
    expect(asked).toHaveLength(2);
    await get(http, { http_proxy: '', HTTP_PROXY: '' });
    expect(asked).toHaveLength(2);
  });

  it.each([
    ['user:secret@', 'user:secret'],
    ['user@', 'user:'],
    ['us%40er:p%25w@', 'us@er:p%w'],
    ['user:100%@', 'user:100%'],
  ])('gets the credentials %s, and the server does not', async (shown, sent) => {
    await get(http, { HTTP_PROXY: `http://${shown}${proxy}` });
    await get(https, { HTTPS_PROXY: `${shown}${proxy}` });
    const basic = `Basic ${Buffer.from(sent).toString('base64')}`;
    expect(credentials).toEqual([basic, basic]);
    expect(seenByServer).toEqual([undefined]);
  });

  it.each(['socks5://127.0.0.1:1080', 'http://', 'http://a b', '://', 'http://user:topsecret@:80:80'])(
    'that cannot be used (%s) is named at the start, without its password',
    (value) => {
      for (const name of ['HTTP_PROXY', 'https_proxy']) {
        expect(() => createDispatcher({}, { [name]: value })).toThrow(
          expect.objectContaining({ name: 'ConfigError', message: expect.stringContaining(name.toUpperCase()) }),
        );
        expect(() => createDispatcher({}, { [name]: value })).not.toThrow(/topsecret/);
      }
    },
  );

  it.each(['NO_PROXY', 'no_proxy'])('is not used for what %s names', async (name) => {
    await get(http, { HTTP_PROXY: proxy, [name]: '10.0.0.0/8, 127.0.0.0/8' });
    await get(https, { HTTPS_PROXY: proxy, [name]: '*' });
    expect(asked).toEqual([]);
    await get(http, { HTTP_PROXY: proxy, [name]: '10.0.0.0/8,127.0.0.1:1' });
    expect(asked).toHaveLength(1);
  });
});
