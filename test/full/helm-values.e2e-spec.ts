import { expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { flagOf, gather, optionOf, parseOption, VARIABLES, type Variable } from '../../src/config/index.js';
import { CHART, environment, manifests, render } from '../support/chart.js';
import { describeWith } from '../support/real-server.js';

/** Right and wrong values of all kinds; each is given to every option. */
const POOL: unknown[] = [
  ...[true, false, 0, 1, 5, -1, 0.5, 1.5, 30, 100, 10_001, 1_000_001, 536_870_912, 1e15],
  ...['true', 'YES', 'off', 'maybe', 'abc', 'a b', '30', '007', '12x', '10000', '10001', '1000000', '1000001', '1e3x'],
  // Durations
  ...[
    '0',
    '0s',
    '500ms',
    '30s',
    '30 s',
    '5m',
    '1h30m',
    '1.5h',
    '30x',
    '1h30',
    's',
    '-5s',
    '30S',
    '365d',
    '365.5d',
    '366d',
  ],
  ...['8760h', '8761h', '31536000s', '31536001s', '99999999999999ms', '1w'],
  // Sizes
  ...[
    '512MiB',
    '4GiB',
    '100 MB',
    '100000',
    '1.5Gi',
    '10k',
    '10MIB',
    '4 gigs',
    '-1MiB',
    '8191TiB',
    '8192TiB',
    '10000TB',
  ],
  // Rates and fractions
  ...['100/s', '600/m', '0.5/h', '0/s', '100', '100/d', '100/', '/s', '0.01', '1.0', '1.1', '2'],
  // Addresses and URLs
  ...['0.0.0.0:8080', '[::]:8080', ':8080', 'localhost:80', '0.0.0.0', '0.0.0.0:65536', '0.0.0.0:x', '[::8080'],
  ...[
    'https://r.example.com',
    'http://r.example.com:5000/path',
    'HTTPS://r.example.com',
    'r.example.com:443/a',
    'oci:/data',
    'https://r.example.com/v2',
    'r.example.com/v2/acme',
    'https://r.example.com/Foo',
    'r.example.com/fw:1.0',
    'oci://./registry',
    'oci:///registry',
  ],
  ...['oci:', 'oci://', 'ftp://r.example.com', 'https://', 'https://user:p@r.example.com', 'https://r.example.com?x=1'],
  ...['https://r.example.com:70000', './registry', '/registry', 'https://r.example.com#a', 'https://[::1]:5000', 'r_1'],
  ...['mqtt://b:1883', 'mqtts://u:p@b?client_id=x', 'wss://b/mqtt', 'mqtt://', 'mqtt:b', 'mqtt://b:70000', 'redis://b'],
  // Topics, versions, choices
  ...[
    'firmware/releases',
    'firmware/+',
    '#',
    '$SYS/x',
    '/',
    'a/',
    '1.2.3',
    'v1.2.3',
    '1.2',
    '1.2.3-rc.1+b5',
    '1.2.3-01',
    '01.2.3',
  ],
  ...['json', 'Pretty', 'xml', 'debug', 'TRACE', 'loud', 'crc32', 'CRC32C', 'crc64', 'check', 'require', 'sometimes'],
  // Regular expressions
  ...[
    '^https://github\\.com/acme/',
    '(a|b)+$',
    '(?!x)y',
    '[a-z]{2,3}',
    '\\p{L}+',
    '(',
    '[a',
    '*a',
    'a**',
    '(?i)a',
    'a\\-b',
    '\\',
  ],
  ...['\\A', 'a{', 'a{,3}', '(?<year>\\d+)', '(a)\\1'],
  // Lists
  ...[['a', 'b'], [], [1, true], [['a']], [{ a: 1 }], { a: 1 }, ['https://hooks.example.com']],
  // Rules
  [{ match: '*', keys: '/keys' }],
  [
    { match: 'lab-*', required: false },
    { match: '*', identity: 'a', issuer: 'b' },
  ],
  [{ match: '*', 'identity-regexp': '^a$', 'issuer-regexp': 'b' }],
  [{ match: '*' }],
  [{ keys: ['/keys'] }],
  [{ match: '*', keys: [] }],
  [{ match: '', keys: '/keys' }],
  [{ match: '*', identity: 'a' }],
  [{ match: '*', keys: '/keys', identity: 'a', issuer: 'b' }],
  [{ match: '*', required: false, keys: '/keys' }],
  [{ match: '*', required: 'no', keys: '/keys' }],
  [{ match: '*', keys: '/keys', other: 1 }],
  [{ match: '*', 'identity-regexp': '(', issuer: 'b' }],
  '[{"match":"*","required":false}]',
];

const PLAIN = VARIABLES.filter((variable) => !optionOf(variable).secret);

/** Which options the server refuses with `value`, as a key of its configuration file. */
async function refusedByServer(folder: string, value: unknown): Promise<Set<Variable>> {
  const file = join(folder, 'otaflux.yaml');
  writeFileSync(file, stringify(Object.fromEntries(PLAIN.map((variable) => [flagOf(variable), value]))));
  const given = await gather({ flags: { config: file }, environment: {} });
  const refused = PLAIN.filter((variable) => {
    try {
      parseOption(variable, given);
      return false;
    } catch {
      return true;
    }
  });
  return new Set(refused);
}

/** Which options the schema refuses with each value of the pool: a chart whose values are all of them, and one call of helm. */
function refusedBySchema(folder: string): Set<Variable>[] {
  const { definitions } = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as {
    definitions: object;
  };
  const properties = Object.fromEntries(
    PLAIN.map((variable) => [flagOf(variable), { $ref: `#/definitions/${flagOf(variable)}` }]),
  );
  const $schema = 'http://json-schema.org/draft-07/schema#';
  const schema = {
    $schema,
    definitions,
    properties: { cases: { items: { properties, additionalProperties: false } } },
  };
  const cases = POOL.map((value) => Object.fromEntries(PLAIN.map((variable) => [flagOf(variable), value])));
  writeFileSync(join(folder, 'Chart.yaml'), 'apiVersion: v2\nname: pool\nversion: 0.1.0\n');
  // As JSON, because Helm reads an unquoted YES as true.
  writeFileSync(join(folder, 'values.yaml'), JSON.stringify({ cases }));
  writeFileSync(join(folder, 'values.schema.json'), JSON.stringify(schema));
  const { stderr } = spawnSync('helm', ['template', folder], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const found = [...stderr.matchAll(/at '\/cases\/(\d+)\/([a-z-]+)/g)].map(([, index, flag]) => `${index} ${flag}`);
  const refused = new Set(found);
  return POOL.map((_value, index) => new Set(PLAIN.filter((variable) => refused.has(`${index} ${flagOf(variable)}`))));
}

describeWith(['helm'], 'the schema of the chart', () => {
  it('gives every option the verdict that the server gives', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-helm-'));
    const bySchema = refusedBySchema(folder);
    const differences: string[] = [];
    const accepted = new Set<Variable>();
    for (const [index, value] of POOL.entries()) {
      const byServer = await refusedByServer(folder, value);
      for (const variable of PLAIN) {
        const [server, schema] = [byServer, bySchema[index]].map((refused) =>
          refused?.has(variable) ? 'refuses' : 'takes',
        );
        if (server === 'takes') accepted.add(variable);
        if (server !== schema)
          differences.push(`${variable}: the server ${server} ${JSON.stringify(value)}, the schema ${schema} it`);
      }
    }
    rmSync(folder, { recursive: true });
    expect(differences).toEqual([]);
    expect(PLAIN.filter((variable) => !accepted.has(variable))).toEqual([]);
  });

  it.each<[string, Variable, unknown, unknown]>([
    ['logLevel', 'LOG_LEVEL', 'debug', 'loud'],
    ['logFormat', 'LOG_FORMAT', 'pretty', 'xml'],
    ['listenAddr', 'LISTEN_ADDR', '[::]:8081', '8081'],
    ['metricsListenAddr', 'METRICS_LISTEN_ADDR', ':9091', '0.0.0.0:99999'],
    ['registry.url', 'REGISTRY_URL', 'http://r.example.com:5000/x', 'ftp://r.example.com'],
    ['registryUrl', 'REGISTRY_URL', 'r.example.com:5000', 'https://'],
    ['registry.insecure', 'REGISTRY_INSECURE', true, 'maybe'],
    ['mqtt.url', 'MQTT_URL', 'mqtts://b.example.com', 'http://b.example.com'],
    ['managementToken', 'MANAGEMENT_TOKEN', 'a-long-management-token', 'short'],
    ['notifySecret', 'NOTIFY_SECRET', 'a-long-signing-secret', 'short'],
    ['repositoryPrefix', 'REPOSITORY_PREFIX', 'firmware/', 'Firmware'],
    ['mqtt.topic', 'MQTT_TOPIC', 'firmware/releases', 'firmware/#'],
    ['cache.memory', 'CACHE_MEMORY', '64MiB', '64 megabytes'],
    ['cache.dir.size', 'CACHE_DISK', '20GiB', '20Gigs'],
    ['notify', 'NOTIFY', ['redis://r?topic=x'], ['smtp://r']],
    ['events', 'EVENTS', ['nats://r?topic=x'], ['http://r']],
    ['signing.identityRegexp', 'COSIGN_CERTIFICATE_IDENTITY_REGEXP', '^a$', '('],
    ['signing.issuerRegexp', 'COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP', '^a$', '[a'],
  ])('otaflux.%s sets %s, and takes %j, but not %j', (path, variable, right, wrong) => {
    const signed = { 'otaflux.signing.identity': 'a', 'otaflux.signing.issuer': 'b' };
    const url = path === 'registryUrl' ? { 'otaflux.registry.url': '' } : {};
    const base = { ...(path.startsWith('signing') && signed), ...url, 'otaflux.cache.dir.enabled': true };
    const given = environment(manifests(render({ ...base, [`otaflux.${path}`]: right })));
    expect(given[variable]).toBe(String(right));
    expect(() => parseOption(variable, { [variable]: { value: String(right), where: path } })).not.toThrow();
    expect(() => parseOption(variable, { [variable]: { value: String(wrong), where: path } })).toThrow(path);
    expect(() => render({ ...base, [`otaflux.${path}`]: wrong })).toThrow(
      new RegExp(`at '/otaflux/${path.replaceAll('.', '/')}|otaflux\\.${path}: got .*, expected `),
    );
  });

  it.each([
    ['otaflux.config', { 'refresh-intervall': '1m' }],
    ['otaflux.config', { 'refresh-interval': true }],
    ['otaflux.config', { maxUnverified: '0' }],
    ['otaflux.config', { MAX_UNVERIFIED: 0 }],
    ['otaflux.webhookSecret', { a: 'map' }],
    ['otaflux.notify', { a: 'map' }],
    ['otaflux.config', { 'webhook-secret': 'in a ConfigMap for all to read' }],
    ['otaflux.registry', { url: 'r', ulr: 'x' }],
    ['otaflux.signing.policy', [{ match: '*' }]],
    ['replicas', 2],
    ['replicaCount', 'two'],
    ['service.port', 70_000],
    ['service.type', 'ExternalName'],
    ['image.digest', 'sha256:abc'],
    ['ingress.hosts', [{ hots: 'a' }]],
    ['networkPolicy.egress.brokerPorts', ['mqtt']],
    ['metrics.serviceMonitor.interval', '30'],
    ['podDisruptionBudget.maxUnavailable', 'one'],
  ])('refuses %s: %j', (path, value) => {
    expect(() => render({ [path]: value })).toThrow("values don't meet the specifications of the schema");
  });

  it.each([
    { 'otaflux.mqtt.url': 'http://user:hunter2@broker.example.com' },
    { 'otaflux.notify': ['smtp://user:hunter2@mail.example.com'] },
    { 'otaflux.notifySecret': 'hunter2' },
    { 'otaflux.managementToken': 'hunter2' },
  ])('prints no secret that it refuses: %j', (values) => {
    const refusal = (): string => {
      try {
        return render(values);
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(refusal()).toContain(`${Object.keys(values)[0]}: got a value that is not shown`);
    expect(refusal()).not.toContain('hunter2');
  });

  it.each([
    { 'refresh-interval': '1m', refresh_interval: null },
    { refreshInterval: '1m' },
    { REFRESH_INTERVAL: '1m' },
    { 'device-url-secret-file': '/secrets/url' },
  ])('takes otaflux.config %j', (config) => {
    expect(() => render({ 'otaflux.config': Object.fromEntries(Object.entries(config).slice(0, 1)) })).not.toThrow();
  });
});
