import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'supertest';
import { NEVER, type Observable } from 'rxjs';
import { ConfigError } from '../../src/errors.js';
import { OtaFluxModule, SignatureVerifier } from '../../src/index.js';
import { Authority } from '../support/authority.js';
import { Cli, run } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { PrivateSigstore } from '../support/private-sigstore.js';
import { RawClient } from '../support/raw-client.js';
import { firmwareBytes } from '../support/bytes.js';
import { newKey, signBundle } from '../support/sign.js';
import { TestService, type LogLine, type TestOptions } from '../support/service.js';

class OwnVerifier extends SignatureVerifier {
  override get changes(): Observable<void> {
    return NEVER;
  }
  override verify(): Promise<never> {
    return Promise.reject(new Error('nothing to verify'));
  }
  override stillTrusts(): boolean {
    return true;
  }
}

const SIGNATURES = /signature verification.*COSIGN_PUB_KEY_PATH.*COSIGN_CERTIFICATE_IDENTITY.*SIGNATURE_POLICY/;
const WEBHOOKS = /webhook secret.*WEBHOOK_SECRET/;
const TRANSPORT = /TLS.*TLS_CERT_PATH.*TLS_KEY_PATH.*TRUST_PROXY/;
const MANAGEMENT = /management.*MANAGEMENT_TOKEN.*METRICS_LISTEN_ADDR/;
const ALL = [SIGNATURES, WEBHOOKS, TRANSPORT, MANAGEMENT];

const folder = mkdtempSync(join(tmpdir(), 'otaflux-production-'));
const { cert, key } = new Authority(folder, 'authority').issue('server');
const signingKey = newKey();
const keyFile = join(folder, 'cosign.pub');
const trustedRoot = join(folder, 'trusted_root.json');
const tokens = join(folder, 'tokens');
writeFileSync(keyFile, signingKey.pem);
writeFileSync(tokens, '');
beforeAll(async () => {
  writeFileSync(trustedRoot, (await PrivateSigstore.create()).trustedRoot);
});
const OPEN: TestOptions = { REGISTRY_URL: `oci:${folder}`, METRICS_LISTEN_ADDR: '0.0.0.0:0' };
const SAFE: TestOptions = {
  REGISTRY_URL: `oci:${folder}`,
  COSIGN_PUB_KEY: signingKey.pem,
  WEBHOOK_SECRET: 'a-webhook-secret-of-ours',
  TRUST_PROXY: '127.0.0.1',
  METRICS_LISTEN_ADDR: '0.0.0.0:0',
  MANAGEMENT_TOKEN: 'a-management-token-of-ours',
};
const rule = (match: string, rest: object): string => JSON.stringify([{ match, ...rest }]);
const NOT_REQUIRED = { required: false };
const NO_KEY = { COSIGN_PUB_KEY: '' };
type Refused = [string, TestOptions, RegExp];

let service: TestService | undefined;
afterEach(async () => {
  await service?.stop();
  service = undefined;
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** The lines of the refusal; none when it starts. */
const refusal = async (
  options: TestOptions,
  parts: Parameters<typeof TestService.start>[1] = {},
): Promise<string[]> => {
  try {
    service = await TestService.start({ PRODUCTION: 'true', ...options }, parts);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split('\n');
  }
};

describe('--production', () => {
  it('refuses to start and lists all that is missing, with the options', async () => {
    const [head, ...lines] = await refusal(OPEN);
    expect(head).toMatch(/^--production: .*4/);
    expect(lines).toEqual(ALL.map((pattern) => expect.stringMatching(pattern)));
  });

  it.each<Refused>([
    ['signature verification', { COSIGN_PUB_KEY: '' }, SIGNATURES],
    ['webhook secret', { WEBHOOK_SECRET: '' }, WEBHOOKS],
    ['webhook secret in a list of nothing', { WEBHOOK_SECRET: ', ,' }, WEBHOOKS],
    ['TLS and no proxy', { TRUST_PROXY: '' }, TRANSPORT],
    [
      'accepted keys of Mender devices',
      { MENDER_ACCEPT: 'first-use' },
      /^ {2}- Every key of a Mender device.*MENDER_ACCEPT/,
    ],
    ['proxy in a list of nothing', { TRUST_PROXY: ',' }, TRANSPORT],
    ['protected management port', { MANAGEMENT_TOKEN: '' }, MANAGEMENT],
    ['protected management port on one network', { MANAGEMENT_TOKEN: '', METRICS_LISTEN_ADDR: '[::]:0' }, MANAGEMENT],
    ['keys in a list of nothing', { COSIGN_PUB_KEY: '', COSIGN_PUB_KEY_PATH: ',' }, SIGNATURES],
    [
      'signatures of all devices, because the policy exempts all, whatever the keys',
      { SIGNATURE_POLICY: rule('**', NOT_REQUIRED) },
      /^ {2}- Unsigned firmware: rule 1 of SIGNATURE_POLICY \("\*\*"\) has required: false/,
    ],
    [
      'signatures of some devices',
      {
        SIGNATURE_POLICY: JSON.stringify([
          { match: 'gateway', keys: 'ec.pub' },
          { match: 'esp*', required: 'False' },
        ]),
      },
      /rule 2 of SIGNATURE_POLICY \("esp\*"\) has required: false/,
    ],
    ...['.*', '^.*$', '.+', '^', '()', '@', '^https://', '[^ ]', '^.*(@|/).*$'].map((pattern): Refused => [
      `a known signer: ${pattern}`,
      { ...NO_KEY, COSIGN_CERTIFICATE_IDENTITY_REGEXP: pattern, COSIGN_CERTIFICATE_OIDC_ISSUER: 'https://idp.test' },
      /^ {2}- Anybody can sign: COSIGN_CERTIFICATE_IDENTITY_REGEXP is "/,
    ]),
    [
      'a known issuer',
      { ...NO_KEY, COSIGN_CERTIFICATE_IDENTITY: 'me@acme.test', COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP: '^https://.*' },
      /Anybody can sign: COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP is /,
    ],
    [
      'a known signer in a rule',
      { SIGNATURE_POLICY: rule('esp32', { 'identity-regexp': '.*', issuer: 'https://idp.test' }) },
      /Anybody can sign: identity-regexp of rule 1 of SIGNATURE_POLICY is "\.\*"/,
    ],
    ...[
      '0.0.0.0/0',
      '::/0',
      '10.0.0.1,128.0.0.0/1,0.0.0.0/1',
      '::ffff:0:0/96',
      '2000::/3',
      '0.0.0.0/1,128.0.0.0/2,192.0.0.0/3',
    ].map((networks): Refused => [
      `a proxy of its own: ${networks}`,
      { TRUST_PROXY: networks },
      /^ {2}- TRUST_PROXY contains every address/,
    ]),
  ])('refuses to start without %s', async (_name, options, pattern) => {
    expect(await refusal({ ...SAFE, ...options })).toEqual([
      expect.stringMatching(/^--production: /),
      expect.stringMatching(pattern),
    ]);
  });

  it.each<[string, TestOptions, Parameters<typeof TestService.start>[1]]>([
    ['a key, a secret, a proxy and a token', {}, {}],
    ['TLS of its own', { TRUST_PROXY: '', TLS_CERT_PATH: cert, TLS_KEY_PATH: key }, {}],
    ['the management port on loopback', { MANAGEMENT_TOKEN: '', METRICS_LISTEN_ADDR: '127.0.0.1:0' }, {}],
    ['the same by name', { MANAGEMENT_TOKEN: '', METRICS_LISTEN_ADDR: 'localhost:0' }, {}],
    [
      'a policy that requires signatures of all',
      { COSIGN_PUB_KEY: '', SIGNATURE_POLICY: rule('**', { keys: keyFile }) },
      {},
    ],
    ...['^me@acme\\.test$', 'acme', '^https://github\\.com/acme/', '@acme\\.test$'].map(
      (pattern): [string, TestOptions, object] => [
        `the identity ${pattern}`,
        {
          ...NO_KEY,
          COSIGN_CERTIFICATE_IDENTITY_REGEXP: pattern,
          COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP: '^https://(accounts\\.google\\.com|gitlab\\.acme\\.test)$',
          SIGSTORE_TRUSTED_ROOT_PATH: trustedRoot,
        },
        {},
      ],
    ),
    ['all private networks', { TRUST_PROXY: '10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7,127.0.0.1' }, {}],
    ['Mender keys on first use, without Mender', { MENDER_ACCEPT: 'first-use', PROTOCOLS: 'native' }, {}],
    ['Mender keys on first use behind credentials', { MENDER_ACCEPT: 'first-use', DEVICE_TOKENS_PATH: tokens }, {}],
    ['a verifier of its own', { COSIGN_PUB_KEY: '' }, { verifier: new OwnVerifier() }],
  ])('starts with %s', async (_name, options, parts) => {
    expect(await refusal({ ...SAFE, ...options }, parts)).toEqual([]);
  });

  it('changes nothing when it is off', async () => {
    expect(await refusal({ ...OPEN, PRODUCTION: 'false' })).toEqual([]);
  });

  it('ends the command with exit code 2, a line for each that is missing, and no listening port', async () => {
    const { code, stdout, stderr } = await run(['--production', '--registry-url', `oci:${folder}`], {
      METRICS_LISTEN_ADDR: '0.0.0.0:0',
      LISTEN_ADDR: '127.0.0.1:0',
    });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const [head, ...lines] = stderr.trimEnd().split('\n');
    expect(head).toMatch(/^otaflux: --production: /);
    expect(lines).toEqual(ALL.map((pattern) => expect.stringMatching(pattern)));
    expect(lines.every((line) => line.length <= 120)).toBe(true);
  });

  it('is for a module in another application, too, whose ports are its own', async () => {
    const options = { REGISTRY_URL: `oci:${folder}`, PRODUCTION: 'true' };
    const start = async (more: object): Promise<void> => {
      const module = OtaFluxModule.forRoot({ options: { ...options, ...more } });
      await (await NestFactory.create(module, { logger: false, bodyParser: false, abortOnError: false })).close();
    };
    await expect(start({})).rejects.toThrow(/^--production: [^]*COSIGN_PUB_KEY_PATH[^]*WEBHOOK_SECRET/);
    await expect(start({})).rejects.not.toThrow(/TLS_CERT_PATH|MANAGEMENT_TOKEN/);
    await start({ COSIGN_PUB_KEY: signingKey.pem, WEBHOOK_SECRET: 'a-webhook-secret-of-ours' });
  });
});

describe('In production without TLS, a device request', () => {
  const registry = new FakeRegistry();
  beforeAll(async () => {
    await registry.start();
    signBundle(registry, 'esp32', registry.push('esp32', '1.0.0', firmwareBytes(1000)), signingKey);
  });
  afterAll(() => registry.stop());
  /** The answer to a request from `from`, which is an address of this machine. */
  const statusFrom = async (from: string, target: string): Promise<[number, string]> => {
    const client = await RawClient.open(service!.port, undefined, from);
    const { status, body } = await client.request(
      `GET ${target} HTTP/1.1\r\nHost: ota\r\nX-Forwarded-For: 127.0.0.7\r\n\r\n`,
    );
    client.close();
    return [status, body.toString('utf8')];
  };
  const start = async (options: TestOptions): Promise<void> => {
    expect(await refusal({ ...SAFE, REGISTRY_URL: registry.url, TRUST_PROXY: '127.0.0.7', ...options })).toEqual([]);
  };
  const VERSION = '/version?device=esp32';

  it('gets firmware through the proxy only', async () => {
    await start({});
    expect((await statusFrom('127.0.0.7', VERSION))[0]).toBe(200);
    for (const target of [VERSION, '/firmware?device=esp32', 'http://ota/version?device=esp32']) {
      const [status, body] = await statusFrom('127.0.0.8', target);
      expect({ target, status, body }).toEqual({
        target,
        status: 403,
        body: expect.stringMatching(/^Forbidden: .*TLS.*proxy/),
      });
    }
    expect(service!.events('device.forbidden')).toContainEqual(
      expect.objectContaining({
        status: 403,
        address: '127.0.0.8',
        reason: expect.stringMatching(/TRUST_PROXY.*PRODUCTION/),
      }),
    );
    expect((await service!.management.get('/metrics')).text).toContain(
      'otaflux_device_denied_total{reason="direct"} 3',
    );
  });

  it('is checked for every connection, and none of webhooks and probes', async () => {
    await start({});
    expect((await statusFrom('127.0.0.8', '/health/live'))[0]).toBe(200);
    expect((await statusFrom('127.0.0.8', '/webhooks/harbor'))[0]).toBe(405);
    const client = await RawClient.open(service!.port, undefined, '127.0.0.7');
    for (let request = 0; request < 2; request++)
      expect((await client.request(`GET ${VERSION} HTTP/1.1\r\nHost: ota\r\n\r\n`)).status).toBe(200);
    client.close();
    expect((await statusFrom('127.0.0.8', VERSION))[0]).toBe(403);
  });

  it.each<[string, TestOptions]>([
    ['out of production', { PRODUCTION: 'false' }],
    [
      'without a list of proxies, which TLS makes unnecessary',
      { TRUST_PROXY: '', TLS_CERT_PATH: cert, TLS_KEY_PATH: key },
    ],
    ['over TLS, though a proxy is trusted', { TLS_CERT_PATH: cert, TLS_KEY_PATH: key }],
  ])('gets firmware directly %s', async (_name, options) => {
    await start(options);
    const tls = options.TLS_CERT_PATH === undefined ? undefined : { rejectUnauthorized: false };
    const client = await RawClient.open(service!.port, tls, '127.0.0.8');
    expect((await client.request(`GET ${VERSION} HTTP/1.1\r\nHost: ota\r\n\r\n`)).status).toBe(200);
    client.close();
  });
});

describe('The management port', () => {
  const TOKEN = 'the-first-management-token';
  const NEXT = 'the-next-management-token';
  const ask = (path: string, authorization?: string, method: 'GET' | 'POST' = 'GET'): Test => {
    const asked = method === 'GET' ? service!.management.get(`/${path}`) : service!.management.post(`/${path}`);
    return authorization === undefined ? asked : asked.set({ authorization });
  };
  const start = async (options: TestOptions): Promise<void> => {
    service = await TestService.start({ REGISTRY_URL: `oci:${folder}`, ...options });
  };

  it.each([
    ['GET', 'status', 200],
    ['POST', 'notify?device=esp32', 404],
  ] as const)('demands MANAGEMENT_TOKEN for %s /%s', async (method, path, status) => {
    await start({ MANAGEMENT_TOKEN: `${TOKEN},${NEXT}`, WEBHOOK_SECRET: 'a-webhook-secret-of-ours' });
    for (const authorization of [`Bearer ${TOKEN}`, `bearer ${NEXT}`])
      expect((await ask(path, authorization, method)).status).toBe(status);
    for (const authorization of [
      undefined,
      'Bearer',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(0, -1)}`,
      TOKEN,
      `Bearer ${TOKEN},${NEXT}`,
      `Basic ${Buffer.from(`x:${TOKEN}`).toString('base64')}`,
      'Bearer a-webhook-secret-of-ours',
    ]) {
      const response = await ask(path, authorization, method);
      expect({ authorization, status: response.status }).toEqual({ authorization, status: 401 });
      expect(response.headers['www-authenticate']).toBe('Bearer realm="otaflux"');
      expect(response.text).not.toContain(TOKEN);
    }
    expect((await ask(`${path}${path.includes('?') ? '&' : '?'}token=${TOKEN}`, undefined, method)).status).toBe(401);
    expect(service!.events('management.unauthorized')).toContainEqual(
      expect.objectContaining({ level: 'warn', path: `/${path.split('?')[0]}`, address: '127.0.0.1' }),
    );
    expect(JSON.stringify(service!.logs)).not.toContain(TOKEN);
  });

  it('stays open for Prometheus and probes', async () => {
    await start({ MANAGEMENT_TOKEN: TOKEN });
    for (const path of ['metrics', 'health', 'health/live', 'health/ready', 'health/registry', 'openapi.json'])
      expect({ path, status: (await ask(path)).status }).toEqual({ path, status: 200 });
  });

  it('is open without a token, and WEBHOOK_SECRET does not protect it', async () => {
    await start({ WEBHOOK_SECRET: 'a-webhook-secret-of-ours' });
    expect((await ask('status')).status).toBe(200);
    expect((await ask('notify?device=esp32', undefined, 'POST')).status).toBe(404);
  });

  it.each(['short', '15-characters-x', '', ',', 'has a space in its middle', 'täglich-ein-neues-wort'])(
    'takes no token like %j',
    async (token) => {
      const { code, stderr } = await run(['--registry-url', `oci:${folder}`, `--management-token=${token}`]);
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: expect.stringMatching(/^otaflux: --management-token: .*16 characters/),
      });
      if (token.length > 2) expect(stderr).not.toContain(token);
    },
  );

  it.each<[string, Record<string, string>, string[]]>([
    ['is reached by others', { METRICS_LISTEN_ADDR: '0.0.0.0:0' }, ['management.open', 'webhook.open']],
    ['is reached by others, for a list of nothing', { WEBHOOK_SECRET: ' , ' }, ['webhook.open']],
    [
      'has a token',
      { METRICS_LISTEN_ADDR: '[::]:0', MANAGEMENT_TOKEN: TOKEN, WEBHOOK_SECRET: 'a-webhook-secret-of-ours' },
      [],
    ],
    ['is on this machine only', { METRICS_LISTEN_ADDR: 'localhost:0', WEBHOOK_SECRET: 'a-webhook-secret-of-ours' }, []],
    ['is on IPv6 of this machine', { METRICS_LISTEN_ADDR: '[::1]:0', WEBHOOK_SECRET: 'a-webhook-secret-of-ours' }, []],
  ])('warns at the start where it must: it %s', async (_name, env, events) => {
    const free = { LISTEN_ADDR: '127.0.0.1:0', METRICS_LISTEN_ADDR: '127.0.0.1:0' };
    const server = new Cli(['--registry-url', `oci:${folder}`], { ...free, ...env });
    await server.event('server.ready');
    server.kill();
    const lines = (await server.finished).stdout.trimEnd().split('\n');
    const warnings = lines
      .map((line) => JSON.parse(line) as LogLine)
      .filter(({ event = '' }) => event.endsWith('.open'));
    expect(warnings.map(({ event }) => event)).toEqual(events);
    for (const { event, level, reason } of warnings) {
      expect(level).toBe('warn');
      expect(reason).toContain(event === 'management.open' ? 'MANAGEMENT_TOKEN' : 'WEBHOOK_SECRET');
    }
  });
});
