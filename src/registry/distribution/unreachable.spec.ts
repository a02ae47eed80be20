import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '../../../test/support/authority.js';
import { error, FakeRegistry, json } from '../../../test/support/fake-registry.js';
import { gather, parseSettings } from '../../config/index.js';
import { explained } from '../../errors.js';
import { createRegistry, type Registry, type Retry } from '../index.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-unreachable-'));
const authority = new Authority(folder, 'acme');
const never = new AbortController().signal;
const servers: Server[] = [];
const saved = { ...process.env };

afterEach(() => {
  for (const server of servers.splice(0)) {
    if ('closeAllConnections' in server) (server as ReturnType<typeof createHttpServer>).closeAllConnections();
    server.close();
  }
  process.env = { ...saved };
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const tags: RequestListener = (_request, response) => {
  json(response, 200, { tags: ['1.0.0'] });
};

async function listening<S extends Server>(server: S): Promise<S & { port: number; connections: number }> {
  servers.push(server);
  let connections = 0;
  server.on('connection', (socket) => {
    connections++;
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.defineProperties(server, {
    port: { value: port },
    connections: { get: () => connections },
  }) as S & { port: number; connections: number };
}

/** An https server with a certificate for `name`, signed by `authority`, or by itself. */
function secure(issued: { cert: string; key: string }, listener = tags): ReturnType<typeof createHttpsServer> {
  return createHttpsServer({ cert: readFileSync(issued.cert), key: readFileSync(issued.key) }, listener);
}

interface Told {
  readonly code: string;
  readonly message: string;
  readonly retries: readonly Retry[];
  readonly failure: unknown;
}

/** What is said of a registry that gives no tags, and which retries were made. */
async function told(environment: Record<string, string>, repository = 'esp32'): Promise<Told> {
  const retries: Retry[] = [];
  const settings = parseSettings(await gather({ flags: {}, environment: { REGISTRY_TIMEOUT: '4s', ...environment } }));
  const registry: Registry = await createRegistry(settings, (retry) => retries.push(retry));
  try {
    await registry.listTags(repository, never);
  } catch (failure) {
    const { code, message } = failure as { code: string; message: string };
    return { code, message, retries, failure };
  } finally {
    await registry.close();
  }
  throw new Error('it gave tags');
}

describe('a registry that cannot be reached', () => {
  it('because it speaks http, is asked once, and http:// and --registry-insecure are named', async () => {
    const server = await listening(createHttpServer(tags));
    for (const url of [`https://127.0.0.1:${server.port}`, `127.0.0.1:${server.port}`]) {
      const { code, message, retries, failure } = await told({ REGISTRY_URL: url });
      expect(message).toBe(
        `cannot reach https://127.0.0.1:${server.port}: the server does not speak TLS. ` +
          `Use http://127.0.0.1:${server.port} in --registry-url, or --registry-insecure with a URL without scheme`,
      );
      expect({ code, retries }).toEqual({ code: 'unavailable', retries: [] });
      // The words of OpenSSL are for debugging.
      expect(explained(failure)).toEqual({ reason: message, cause: expect.stringContaining('SSL routines') });
    }
    expect(server.connections).toBe(2);
  });

  it('because it speaks https, is asked once, and https:// is named', async () => {
    const server = await listening(secure(authority.issue('127.0.0.1')));
    const { code, message, retries } = await told({ REGISTRY_URL: `http://127.0.0.1:${server.port}` });
    expect(message).toBe(
      `cannot reach http://127.0.0.1:${server.port}: the server speaks HTTPS. Use https://127.0.0.1:${server.port} in --registry-url`,
    );
    expect({ code, retries }).toEqual({ code: 'unavailable', retries: [] });
  });

  it.each([
    ['Go', 'Client sent an HTTP request to an HTTPS server.\n'],
    ['nginx', '<center>The plain HTTP request was sent to HTTPS port</center>'],
    ['Apache', "You're speaking plain HTTP to an SSL-enabled server port."],
  ])('because it speaks https, as a server in %s says it', async (_name, body) => {
    const server = await listening(createHttpServer((_request, response) => void response.writeHead(400).end(body)));
    const { message, retries } = await told({ REGISTRY_URL: `http://127.0.0.1:${server.port}` });
    expect(message).toContain(`speaks HTTPS. Use https://127.0.0.1:${server.port} in --registry-url`);
    expect(retries).toEqual([]);
  });

  it('because its certificate is not from the authority that was given', async () => {
    const server = await listening(secure(authority.issue('127.0.0.1')));
    const other = new Authority(folder, 'other');
    const { message } = await told({
      REGISTRY_URL: `https://127.0.0.1:${server.port}`,
      REGISTRY_CA_CERT_PATH: other.cert,
    });
    expect(message).toBe(
      `cannot reach https://127.0.0.1:${server.port}: its certificate is from an unknown authority. No certificate in the file of --registry-ca-cert-path has issued it: give the one of its authority`,
    );
  });

  const certificates: [string, () => { cert: string; key: string }, string, RegExp][] = [
    [
      'is self-signed',
      () => ({ cert: authority.cert, key: join(folder, 'acme.key') }),
      '127.0.0.1',
      /certificate is self-signed\. .*--registry-ca-cert-path/,
    ],
    [
      'is from an unknown authority',
      () => authority.issue('127.0.0.1'),
      '127.0.0.1',
      /from an unknown authority\. .*--registry-ca-cert-path/,
    ],
    [
      'has expired',
      () => authority.issue('expired', 'IP:127.0.0.1', 0),
      '127.0.0.1',
      /has expired\. Renew the certificate/,
    ],
    [
      'is for another host name',
      () => authority.issue('other', 'DNS:other.example'),
      '127.0.0.1',
      /for another host name\. .*--registry-url/,
    ],
  ];
  it.each(certificates)('because its certificate %s, is asked once', async (_name, issue, host, expectedMessage) => {
    const issued = issue();
    const server = await listening(secure(issued));
    const isTrusted = /expired|other/.test(issued.cert);
    const trusted = isTrusted ? { REGISTRY_CA_CERT_PATH: authority.cert } : {};
    const { message, retries } = await told({ REGISTRY_URL: `https://${host}:${server.port}`, ...trusted });
    expect(message).toMatch(expectedMessage);
    expect(message).toContain(`cannot reach https://${host}:${server.port}: its certificate`);
    expect({ retries, connections: server.connections }).toEqual({ retries: [], connections: 1 });
  });

  it('because its host does not exist, is asked once', async () => {
    const { message, retries } = await told({ REGISTRY_URL: 'https://registry.invalid' });
    expect(message).toBe(
      'cannot reach https://registry.invalid: unknown host. Check the host name in --registry-url, and the DNS of this machine',
    );
    expect(retries).toEqual([]);
  });

  it('because it is down, is asked five times more, which those who wait are told', async () => {
    const { message, retries } = await told({ REGISTRY_URL: 'http://127.0.0.1:1', REGISTRY_TIMEOUT: '30s' });
    expect(message).toBe(
      'cannot reach http://127.0.0.1:1: connection refused. Check that the registry runs, and the port in --registry-url',
    );
    expect(retries).toEqual(
      [1, 2, 3, 4, 5].map((retry) => ({ host: '127.0.0.1:1', reason: 'connection refused', retry, of: 5 })),
    );
  });

  it('because it closes every connection, is asked again', async () => {
    const server = await listening(createServer((socket) => void socket.once('data', () => socket.destroy())));
    const { message, retries } = await told({
      REGISTRY_URL: `http://127.0.0.1:${server.port}`,
      REGISTRY_TIMEOUT: '1s',
    });
    expect(message).toMatch(/the server closed the connection|the connection was reset/);
    expect(retries.length).toBeGreaterThan(0);
  });

  it('because it speaks something else, is asked once', async () => {
    const server = await listening(
      createServer((socket) => void socket.once('data', () => socket.end('SSH-2.0-x\r\n'))),
    );
    const { message, retries } = await told({ REGISTRY_URL: `http://127.0.0.1:${server.port}` });
    expect(message).toMatch(/: the answer is not HTTP\. Check the registry, the network and --registry-url$/);
    expect(retries).toEqual([]);
  });

  it('because it says nothing, names the limit', async () => {
    const server = await listening(createServer());
    const { message } = await told({ REGISTRY_URL: `http://127.0.0.1:${server.port}`, REGISTRY_TIMEOUT: '200ms' });
    expect(message).toMatch(/: no answer within the time limit\. .*--registry-timeout is the limit$/);
  });
});

describe('a URL that is no registry', () => {
  it('is not a registry that has nothing', async () => {
    const page: RequestListener = (_request, response) =>
      void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>Welcome</html>');
    const server = await listening(createHttpServer(page));
    const { code, message } = await told({ REGISTRY_URL: `http://127.0.0.1:${server.port}` });
    expect(code).toBe('protocol');
    expect(message).toMatch(/not JSON, but text\/html\. It may not be a container registry.*--registry-url/);
  });

  it('says so by a 404 without an error code', async () => {
    const server = await listening(
      createHttpServer((_request, response) => void response.writeHead(404).end('<html>')),
    );
    const { code, message } = await told({ REGISTRY_URL: `http://127.0.0.1:${server.port}` });
    expect(code).toBe('absent');
    expect(message).toMatch(
      /answered status 404 without an error code\. .* may not be a container registry: check --registry-url/,
    );
  });

  it.each(['json', 'header'])('is not said of a registry that knows no repository, by its %s', async (form) => {
    const server = await listening(
      createHttpServer((_request, response) => {
        if (form === 'json') error(response, 404, 'NAME_UNKNOWN');
        else response.writeHead(404, { 'Docker-Distribution-Api-Version': 'registry/2.0' }).end();
      }),
    );
    const { message } = await told({ REGISTRY_URL: `http://127.0.0.1:${server.port}` }, 'fw/esp32');
    expect(message).not.toContain('container registry');
    expect(message).toMatch(
      /^tags of fw\/esp32: .*404.*\. Check the device id and --repository-prefix, or push a version/,
    );
  });
});

describe('a registry that wants credentials', () => {
  const registry = new FakeRegistry();
  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  const url = (): Record<string, string> => ({ REGISTRY_URL: registry.url });
  const authFile = (auths: object): Record<string, string> => {
    const path = join(folder, 'config.json');
    writeFileSync(path, JSON.stringify({ auths }));
    return { REGISTRY_AUTH_FILE: path };
  };

  it('and gets none: the options are named', async () => {
    registry.auth = { user: 'robot', password: 'secret' };
    expect((await told(url())).message).toMatch(
      /credentials are needed\. Set --registry-username and --registry-password, or --registry-auth-file$/,
    );
    const other = await told({ ...url(), ...authFile({ 'ghcr.io': { auth: Buffer.from('a:b').toString('base64') } }) });
    expect(other.message).toContain(`The file of --registry-auth-file has none for ${registry.host}: log in to it`);
  });

  it('and gets wrong ones: the options are named', async () => {
    registry.auth = { user: 'robot', password: 'secret' };
    const wrong = await told({ ...url(), REGISTRY_USERNAME: 'robot', REGISTRY_PASSWORD: 'nope' });
    expect(wrong.message).toMatch(/the credentials are wrong\. Check --registry-username and --registry-password$/);
    const auths = { [registry.host]: { auth: Buffer.from('robot:nope').toString('base64') } };
    expect((await told({ ...url(), ...authFile(auths) })).message).toContain('Log in again');
  });
});

describe('a proxy that refuses', () => {
  it.each([
    ['http', 407, /the proxy answered 407: it requires a user name and password\. Set HTTP_PROXY=/],
    ['https', 407, /the proxy answered 407: it requires a user name and password\. Set HTTPS_PROXY=/],
    ['https', 403, /the proxy of HTTPS_PROXY answered 403\. Check its rules, or name registry\.example in NO_PROXY/],
  ])('%s with %d is named, with its variable, and asked once', async (scheme, status, expected) => {
    const proxy = await listening(createHttpServer((_request, response) => void response.writeHead(status).end()));
    let asked = 0;
    proxy.on('request', () => asked++);
    proxy.on('connect', (_request, socket) => {
      asked++;
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
    });
    Object.assign(process.env, { [`${scheme}_proxy`]: `http://127.0.0.1:${proxy.port}`, no_proxy: '', NO_PROXY: '' });
    const { message, retries } = await told({ REGISTRY_URL: `${scheme}://registry.example` });
    expect(message).toMatch(expected);
    expect({ retries, asked }).toEqual({ retries: [], asked: 1 });
  });

  it('wrong credentials is told to correct them', async () => {
    const proxy = await listening(createHttpServer((_request, response) => void response.writeHead(407).end()));
    Object.assign(process.env, {
      http_proxy: `http://u:topsecret@127.0.0.1:${proxy.port}`,
      no_proxy: '',
      NO_PROXY: '',
    });
    const { message } = await told({ REGISTRY_URL: 'http://registry.example' });
    expect(message).toMatch(/does not accept the user and password in HTTP_PROXY/);
    expect(message).not.toContain('topsecret');
  });

  it('connections is named, not the registry behind it alone', async () => {
    Object.assign(process.env, { https_proxy: 'http://127.0.0.1:1', no_proxy: '', NO_PROXY: '' });
    const { message } = await told({ REGISTRY_URL: 'https://registry.example', REGISTRY_TIMEOUT: '300ms' });
    expect(message).toContain('through the proxy 127.0.0.1:1 of HTTPS_PROXY: connection refused');
  });
});
