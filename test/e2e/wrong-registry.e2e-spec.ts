import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import { OtaError } from '../../src/errors.js';
import { LayoutRegistry } from '../../src/registry/layout/layout-registry.js';
import { Authority } from '../support/authority.js';
import { firmwareBytes } from '../support/bytes.js';
import { error, FakeRegistry, type Fault } from '../support/fake-registry.js';
import { TestService, until, type TestOptions } from '../support/service.js';

interface Failure {
  readonly code: string;
  readonly reason?: string;
  readonly options: readonly string[];
}
interface RegistryHealth {
  readonly state: string;
  readonly lastAnswer: string | null;
  readonly error: Failure | null;
}

const USER = 'robot';
const PASSWORD = 'the-right-password';
const account = (password = PASSWORD): TestOptions => ({ REGISTRY_USERNAME: USER, REGISTRY_PASSWORD: password });

const page =
  (status: number): Fault =>
  (_request, response) => {
    response.writeHead(status, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Welcome</title>');
    return true;
  };
/** Basic authentication, as small registries have it. */
const basic: Fault = (request, response) => {
  if (request.headers.authorization === `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`) return false;
  error(response, 401, 'UNAUTHORIZED', { 'WWW-Authenticate': 'Basic realm="fake"' });
  return true;
};

const folder = mkdtempSync(join(tmpdir(), 'otaflux-wrong-registry-'));
const authority = new Authority(folder, 'authority');
const registry = new FakeRegistry();
const servers: Server[] = [];
let service: TestService;

beforeAll(() => registry.start());
afterEach(async () => {
  await service.stop();
  await registry.stop();
  await registry.start();
  registry.fault = () => false;
  registry.auth = undefined;
  registry.seen.length = 0;
  for (const name of [...registry.names()]) registry.remove(name);
  for (const server of servers.splice(0)) server.close();
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true });
});

const start = async (
  options: TestOptions = {},
  parts: Parameters<typeof TestService.start>[1] = {},
): Promise<TestService> =>
  (service = await TestService.start(
    { REGISTRY_URL: registry.url, REGISTRY_TIMEOUT: '1300ms', REFRESH_INTERVAL: '0', ...options },
    parts,
  ));

const ready = async (base = service.managementUrl): Promise<RegistryHealth> => {
  const response = await request(base).get('/health/ready').expect(200);
  return (response.body as { details: { registry: RegistryHealth } }).details.registry;
};
const status = async (): Promise<RegistryHealth> =>
  ((await service.management.get('/status').expect(200)).body as { registry: RegistryHealth }).registry;
/** What the probe of the registry itself answers. */
const probe = async (): Promise<{ code: number; registry: RegistryHealth }> => {
  const response = await service.management.get('/health/registry');
  const { details } = response.body as { details: { registry: RegistryHealth } };
  return { code: response.status, registry: details.registry };
};

/** Listens on a free port of this machine until the test is over. */
const listening = async (server: Server): Promise<number> => {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};
/** The same registry by TLS. */
const tlsRegistry = (san?: string): Promise<number> => {
  const { cert, key } = authority.issue(`registry-${servers.length}-${san ?? ''}`.replaceAll(/[^a-z0-9-]/gi, ''), san);
  return listening(
    createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
      registry.answer(request, response);
    }),
  );
};

interface Wrong {
  readonly name: string;
  /** Makes it wrong; resolves to the options that the operator gave. */
  readonly options: () => TestOptions | Promise<TestOptions>;
  readonly code: string;
  readonly reason: RegExp;
  /** The options to look at. */
  readonly look: readonly string[];
}

const WRONG: readonly Wrong[] = [
  {
    name: 'an unknown host',
    options: () => ({ REGISTRY_URL: 'https://registry.invalid' }),
    code: 'unavailable',
    reason: /registry\.invalid/,
    look: ['REGISTRY_URL'],
  },
  {
    name: 'a port that refuses',
    options: () => ({ REGISTRY_URL: 'http://127.0.0.1:1' }),
    code: 'unavailable',
    reason: /ECONNREFUSED|refused/,
    look: ['REGISTRY_URL'],
  },
  {
    name: 'a host that takes connections and says nothing',
    options: async () => {
      const port = await listening(createTcpServer((socket) => socket.on('error', () => undefined)));
      return { REGISTRY_URL: `http://127.0.0.1:${port}` };
    },
    code: 'unavailable',
    reason: /127\.0\.0\.1/,
    look: ['REGISTRY_URL', 'REGISTRY_TIMEOUT'],
  },
  {
    name: 'a wrong password for tokens',
    options: () => {
      registry.auth = { user: USER, password: PASSWORD };
      return account('not-this-password');
    },
    code: 'denied',
    reason: /401/,
    look: ['REGISTRY_USERNAME', 'REGISTRY_PASSWORD'],
  },
  {
    name: 'a user name without a password',
    options: () => {
      registry.auth = { user: USER, password: PASSWORD };
      return { REGISTRY_USERNAME: USER };
    },
    code: 'denied',
    reason: /the credentials are wrong\. The password is missing: set --registry-password or --registry-password-file$/,
    look: ['REGISTRY_USERNAME', 'REGISTRY_PASSWORD'],
  },
  {
    name: 'a token service that is down',
    options: () => {
      registry.fault = (_request, response) => {
        error(response, 401, 'UNAUTHORIZED', { 'WWW-Authenticate': 'Bearer realm="http://127.0.0.1:1/token"' });
        return true;
      };
      return {};
    },
    code: 'unavailable',
    reason:
      /127\.0\.0\.1:1, which the registry refers to: connection refused\. Check the network, and the address in the configuration of the registry$/,
    look: [],
  },
  {
    name: 'a wrong password for Basic authentication',
    options: () => {
      registry.fault = basic;
      return account('not-this-password');
    },
    code: 'denied',
    reason: /401 UNAUTHORIZED/,
    look: ['REGISTRY_USERNAME', 'REGISTRY_PASSWORD'],
  },
  {
    name: 'a wrong password in the auth file',
    options: () => {
      registry.fault = basic;
      const path = join(folder, 'config.json');
      const auth = Buffer.from(`${USER}:not-this-password`).toString('base64');
      writeFileSync(path, JSON.stringify({ auths: { [registry.host]: { auth } } }));
      return { REGISTRY_AUTH_FILE: path };
    },
    code: 'denied',
    reason: /401 UNAUTHORIZED/,
    look: ['REGISTRY_AUTH_FILE'],
  },
  {
    name: 'no credentials where they are needed',
    options: () => {
      registry.auth = { user: USER, password: PASSWORD };
      return {};
    },
    code: 'denied',
    reason: /401 UNAUTHORIZED/,
    look: ['REGISTRY_USERNAME', 'REGISTRY_AUTH_FILE'],
  },
  {
    name: 'a user that is denied',
    options: () => {
      registry.fault = (_request, response) => (error(response, 403, 'DENIED'), true);
      return account();
    },
    code: 'denied',
    reason: /403 DENIED/,
    look: ['REGISTRY_USERNAME', 'REGISTRY_PASSWORD'],
  },
  {
    name: 'a web page',
    options: () => ((registry.fault = page(200)), {}),
    code: 'protocol',
    reason: /not a container registry/,
    look: ['REGISTRY_URL'],
  },
  {
    name: 'a web server that has no such page',
    options: () => ((registry.fault = page(404)), {}),
    code: 'protocol',
    reason: /not a container registry/,
    look: ['REGISTRY_URL'],
  },
  {
    name: 'a redirect to a login page',
    options: () => {
      registry.fault = (request, response, kind, step) => {
        if (request.url === '/login') return page(200)(request, response, kind, step);
        response.writeHead(302, { Location: '/login' }).end();
        return true;
      };
      return {};
    },
    code: 'protocol',
    reason: /not a container registry/,
    look: ['REGISTRY_URL'],
  },
  {
    name: 'https where http is spoken',
    options: () => ({ REGISTRY_URL: registry.url.replace('http:', 'https:') }),
    code: 'unavailable',
    reason: /127\.0\.0\.1/,
    look: ['REGISTRY_URL', 'REGISTRY_INSECURE'],
  },
  {
    name: 'http where https is spoken',
    options: async () => ({ REGISTRY_URL: `http://127.0.0.1:${await tlsRegistry()}` }),
    code: 'unavailable',
    reason: /127\.0\.0\.1/,
    look: ['REGISTRY_URL', 'REGISTRY_INSECURE'],
  },
  {
    name: 'http where a server of Go speaks https',
    options: () => {
      registry.fault = (_request, response) => {
        response.writeHead(400).end('Client sent an HTTP request to an HTTPS server.\n');
        return true;
      };
      return {};
    },
    code: 'protocol',
    reason: /HTTPS/,
    look: ['REGISTRY_URL', 'REGISTRY_INSECURE'],
  },
  {
    name: 'a certificate that nobody trusts',
    options: async () => ({ REGISTRY_URL: `https://127.0.0.1:${await tlsRegistry()}` }),
    code: 'unavailable',
    reason: /certificate/,
    look: ['REGISTRY_CA_CERT_PATH'],
  },
  {
    name: 'a certificate for another host',
    options: async () => ({
      REGISTRY_URL: `https://127.0.0.1:${await tlsRegistry('DNS:registry.example.com')}`,
      REGISTRY_CA_CERT_PATH: authority.cert,
    }),
    code: 'unavailable',
    reason: /127\.0\.0\.1/,
    look: ['REGISTRY_URL'],
  },
  {
    name: 'a folder that is not there',
    options: () => ({ REGISTRY_URL: `oci:${join(folder, 'nowhere')}` }),
    code: 'unavailable',
    reason: /nowhere/,
    look: ['REGISTRY_URL'],
  },
  {
    name: 'a file in place of the folder',
    options: () => {
      const path = join(folder, 'file');
      writeFileSync(path, 'x');
      return { REGISTRY_URL: `oci:${path}` };
    },
    code: 'unavailable',
    reason: /file/,
    look: ['REGISTRY_URL'],
  },
];

describe('A wrong registry', () => {
  it.each(WRONG.map((wrong) => [wrong.name, wrong] as const))(
    'does not look healthy: %s',
    async (_name, { options, code, reason, look }) => {
      registry.push('esp32', '1.0.0', firmwareBytes(100));
      await start(await options());
      await until(() => service.events('registry.failed').length > 0, 'the event');
      const failure = { code, reason: expect.stringMatching(reason), options: look };
      expect(service.events('registry.failed')).toEqual([expect.objectContaining({ level: 'warn', ...failure })]);
      const expected = { state: 'down', lastAnswer: null, error: failure };
      expect(await ready()).toMatchObject(expected);
      expect(await status()).toMatchObject(expected);
      expect(await probe()).toMatchObject({ code: 503, registry: expected });
      const metrics = await service.metrics();
      expect(metrics).toMatch(/^otaflux_registry_up 0$/m);
      expect(metrics).toMatch(new RegExp(`^otaflux_registry_error\\{code="${code}"\\} 1$`, 'm'));
      // Devices that ask make it no better.
      for (const device of ['esp32', 'nobody']) expect([404, 502, 503]).toContain(await service.versionOf(device));
      expect(await ready()).toMatchObject({ state: 'down', lastAnswer: null, error: { code } });
      expect(service.events('registry.reached')).toEqual([]);
    },
  );

  it('hides its reasons from those who ask on the device port', async () => {
    await start({ REGISTRY_URL: 'http://127.0.0.1:1' });
    await until(() => service.events('registry.failed').length > 0, 'the event');
    await service.versionOf('esp32');
    for (const path of ['/health/ready', '/health/registry']) {
      const text = (await service.api.get(path)).text;
      expect(text).toContain('"state":"down"');
      expect(text).toContain('unavailable');
      expect(text).not.toMatch(/127\.0\.0\.1|ECONNREFUSED/);
    }
  });

  it('shows no password that it sends back', async () => {
    registry.fault = (_request, response) => {
      const sent = Buffer.from(`${USER}:${PASSWORD}`).toString('base64');
      const body = JSON.stringify({ errors: [{ code: 'DENIED', message: `${PASSWORD} is wrong, as is ${sent}` }] });
      response.writeHead(403, { 'Content-Type': 'application/json' }).end(body);
      return true;
    };
    await start(account());
    await until(() => service.events('registry.failed').length > 0, 'the event');
    await service.versionOf('esp32');
    for (const path of ['/health/ready', '/health/registry', '/status']) {
      const text = (await service.management.get(path)).text;
      expect(text).toContain('is wrong');
      expect(text).not.toContain(PASSWORD);
      expect(text).not.toContain(Buffer.from(`${USER}:${PASSWORD}`).toString('base64'));
    }
  });

  it.each<[string, () => void, () => void]>([
    ['a host that is down', () => void registry.stop(), () => void registry.start()],
    ['a wrong password', () => (registry.fault = basic), () => (registry.fault = () => false)],
    ['a web page', () => (registry.fault = page(200)), () => (registry.fault = () => false)],
    ['a missing page', () => (registry.fault = page(404)), () => (registry.fault = () => false)],
  ])('is healthy once it has recovered: %s', async (_name, spoil, mend) => {
    registry.push('esp32', '1.0.0', firmwareBytes(100));
    spoil();
    await start();
    await until(() => service.events('registry.failed').length > 0, 'the event');
    mend();
    await until(async () => (await service.versionOf('esp32')) === '1.0.0', 'the release');
    await until(() => service.events('registry.reached').length > 0, 'the other event');
    const expected = { state: 'up', lastAnswer: expect.any(String), error: null };
    expect(await ready()).toMatchObject(expected);
    expect(await status()).toMatchObject(expected);
    expect(await probe()).toMatchObject({ code: 200, registry: expected });
    const metrics = await service.metrics();
    expect(metrics).toMatch(/^otaflux_registry_up 1$/m);
    expect(metrics).not.toMatch(/^otaflux_registry_error\{/m);
  });

  it('is healthy once its folder is there', async () => {
    const path = join(folder, 'later');
    await start({ REGISTRY_URL: `oci:${path}` });
    await until(() => service.events('registry.failed').length > 0, 'the event');
    mkdirSync(path);
    await until(async () => (await probe()).code === 200, 'the answer');
    expect(await ready()).toMatchObject({ state: 'up', error: null });
  });
});

describe('The question to the registry', () => {
  const pings = (): number => registry.seen.filter(({ step }) => step === 'ping').length;

  it('is asked once, however many devices ask', async () => {
    registry.push('esp32', '1.0.0', firmwareBytes(100));
    await start();
    await until(() => service.events('registry.reached').length > 0, 'the event');
    for (let i = 0; i < 50; i++) {
      expect(await service.versionOf('esp32')).toBe('1.0.0');
      expect(await service.versionOf(`nobody-${i}`)).toBe(404);
      expect((await probe()).code).toBe(200);
    }
    expect(pings()).toBe(1);
    expect(service.events('registry.reached')).toHaveLength(1);
  });

  it('is asked again by a probe when its last answer is old', async () => {
    await start();
    await until(() => service.events('registry.reached').length > 0, 'the event');
    registry.fault = page(200);
    expect((await probe()).code).toBe(200);
    const now = performance.now.bind(performance);
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + 6_000);
    try {
      expect(await probe()).toMatchObject({ code: 503, registry: { state: 'down', error: { code: 'protocol' } } });
      expect(pings()).toBe(2);
    } finally {
      clock.mockRestore();
    }
  });

  it('keeps no server from its start, and from its end', async () => {
    const port = await listening(createTcpServer((socket) => socket.on('error', () => undefined)));
    await start({ REGISTRY_URL: `http://127.0.0.1:${port}`, REGISTRY_TIMEOUT: '10m' });
    expect(await ready()).toMatchObject({ state: 'unknown', lastAnswer: null, error: null });
    expect(await service.metrics()).not.toMatch(/^otaflux_registry_up \d/m);
    // Stopped by afterEach, long before that timeout.
  });

  it('is asked again when a password is refused that was good', async () => {
    registry.push('esp32', '1.0.0', firmwareBytes(100));
    registry.auth = { user: USER, password: PASSWORD };
    await start(account());
    await until(() => service.events('registry.reached').length > 0, 'the event');
    expect(await service.versionOf('esp32')).toBe('1.0.0');
    registry.auth = { user: USER, password: 'another' };
    registry.tokens.clear();
    await until(async () => {
      // From memory, and refreshed behind it.
      expect(await service.versionOf('esp32')).toBe('1.0.0');
      return (await ready()).state === 'down';
    }, 'the failure');
    expect(await ready()).toMatchObject({
      error: { code: 'denied', options: ['REGISTRY_USERNAME', 'REGISTRY_PASSWORD'] },
    });
  });

  it('tells a registry that refuses made-up names from one that refuses us', async () => {
    registry.push('esp32', '1.0.0', firmwareBytes(100));
    registry.fault = (request, response) => {
      const isRefused = request.url?.includes('nobody') === true;
      if (isRefused) error(response, 403, 'DENIED');
      return isRefused;
    };
    await start();
    await until(() => service.events('registry.reached').length > 0, 'the event');
    for (let i = 0; i < 20; i++) {
      expect(await service.versionOf(`nobody-${i}`)).toBe(502);
      expect(await ready()).toMatchObject({ state: 'up', error: null });
    }
    // In doubt it was asked again, but not for each name.
    expect(pings()).toBeLessThan(10);
  });

  it('is not trusted where public repositories can be read without it', async () => {
    registry.push('esp32', '1.0.0', firmwareBytes(100));
    registry.fault = (request, response) => {
      const isRefused = request.url === '/v2/' || request.url?.includes('nobody') === true;
      if (isRefused) error(response, 401, 'UNAUTHORIZED');
      return isRefused;
    };
    await start();
    await until(() => service.events('registry.failed').length > 0, 'the event');
    await until(async () => {
      expect(await service.versionOf('esp32')).toBe('1.0.0');
      return pings() > 1;
    }, 'another question');
    for (let i = 0; i < 20; i++) {
      expect(await service.versionOf(`nobody-${i}`)).toBe(502);
      expect(await ready()).toMatchObject({ state: 'up', error: null });
    }
    expect(service.events('registry.failed')).toHaveLength(1);
  });

  it('leads to few lines about a registry that comes and goes', async () => {
    registry.push('esp32', '1.0.0', firmwareBytes(100));
    registry.fault = (_request, response, kind) => {
      // To wait for so long is to give up at once.
      if (kind === 'blob') error(response, 503, 'UNAVAILABLE', { 'Retry-After': '60' });
      return kind === 'blob';
    };
    await start({ REGISTRY_TIMEOUT: '10s' });
    await until(() => service.events('registry.reached').length > 0, 'the event');
    for (let i = 0; i < 10; i++) expect(await service.versionOf('esp32')).toBe(503);
    expect(service.events('registry.failed')).toHaveLength(1);
    expect(service.events('registry.reached').length).toBeLessThanOrEqual(2);
  });

  it.each<[string, () => Promise<void>]>([
    ['rejects', () => Promise.reject(new OtaError('denied', 'the badge has expired'))],
    ['rejects with another error', () => Promise.reject(new TypeError('the badge has expired'))],
    [
      'throws',
      () => {
        throw new Error('the badge has expired');
      },
    ],
  ])('is for a registry of your own, too: ping %s', async (_name, ping) => {
    class OwnRegistry extends LayoutRegistry {
      override ping(): Promise<void> {
        return ping();
      }
    }
    await start({}, { registry: new OwnRegistry(folder) });
    await until(() => service.events('registry.failed').length > 0, 'the event');
    const expected = { reason: expect.stringContaining('the badge has expired'), options: [] };
    expect(service.events('registry.failed')).toEqual([expect.objectContaining(expected)]);
    expect(await probe()).toMatchObject({ code: 503, registry: { state: 'down', error: expected } });
  });
});
