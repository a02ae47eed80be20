import { afterAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gather, optionOf, parseSettings, settingOf, VARIABLES, type Settings } from './index.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-config-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

async function settings(
  environment: Record<string, string> = {},
  flags: Record<string, unknown> = {},
): Promise<Settings> {
  return parseSettings(await gather({ flags, environment: { REGISTRY_URL: 'registry.example', ...environment } }));
}

describe('settings', () => {
  it('have the defaults of the table', async () => {
    expect(await settings()).toMatchObject({
      repositoryPrefix: '',
      registryInsecure: false,
      registryTimeout: 30_000,
      refreshInterval: 30_000,
      maxStale: undefined,
      prereleases: true,
      checksum: 'crc32',
      cacheSize: 100,
      cacheMemory: 512 * 1024 ** 2,
      cacheDisk: 10 * 1024 ** 3,
      maxFirmwareSize: 4 * 1024 ** 3,
      listenAddr: { host: '0.0.0.0', port: 8080 },
      metricsListenAddr: { host: '127.0.0.1', port: 9090 },
      logLevel: 'info',
      logFormat: undefined,
      shutdownGrace: 30_000,
    });
  });

  it('come from a flag before a variable before the file', async () => {
    const config = file('order.yaml', 'refresh-interval: 1m\ncache-size: 1\nmax-stale: 1h\n');
    expect(
      await settings({ REFRESH_INTERVAL: '2m', CACHE_SIZE: '2' }, { config, 'refresh-interval': '3m' }),
    ).toMatchObject({ refreshInterval: 180_000, cacheSize: 2, maxStale: 3_600_000 });
  });

  it.each(['0123456', '1e10', '0x1F', '1.10', 'true', 'no', 'null', '~', '2024-01-01', '.inf', '1_000'])(
    'take the text %s from the file as it is written',
    async (written) => {
      const config = file(
        'text.yaml',
        `registry-username: u\nregistry-password: ${written}\nmqtt-password: ${written}\n`,
      );
      expect(await settings({ CONFIG: config })).toMatchObject({ registryPassword: written, mqttPassword: written });
    },
  );

  it('take the texts of lists, names and policies from the file as they are written', async () => {
    const config = file(
      'texts.yaml',
      'watch: [0042, 1e3, no, null, 2024-01-01]\nregistry-username: 007\nfirmware-file: 1.0\nregistry-password: x\n' +
        'cosign-pub-key-path: 010\nsignature-policy: [{match: 0042, keys: [0x10]}, {match: "*", required: false}]\n',
    );
    expect(await settings({ CONFIG: config })).toMatchObject({
      watch: ['0042', '1e3', 'no', 'null', '2024-01-01'],
      registryUsername: '007',
      firmwareFile: '1.0',
      cosignPubKeyPath: ['010'],
      signaturePolicy: [
        { match: '0042', keys: ['0x10'], required: true },
        { match: '*', required: false },
      ],
    });
  });

  it('take an authority for the broker alone, and a broker without a topic', async () => {
    expect(await settings({ MQTT_URL: 'mqtts://x', MQTT_CA_CERT_PATH: 'ca.pem' })).toMatchObject({
      mqttCaCertPath: 'ca.pem',
      mqttTopic: undefined,
    });
    expect(await settings({ MQTT_URL: 'mqtt://x', MQTT_TOPIC: '/' })).toMatchObject({ mqttTopic: '' });
  });

  it('take every glob of device ids, a prefix with slashes around it, and secrets of 16 characters', async () => {
    const watch = ['esp32', 'line-1/*', '**', '*-v[0-9]', '{a,b}/c', 'all', '@(a|b)', '*sensor?'];
    for (const one of watch.filter((glob) => !glob.includes(','))) await settings({ WATCH: one });
    const config = file('globs.yaml', `watch: [${watch.map((glob) => JSON.stringify(glob)).join(', ')}]\n`);
    expect((await settings({ CONFIG: config })).watch).toEqual(watch);
    expect((await settings({ REPOSITORY_PREFIX: '/acme/fw/' })).repositoryPrefix).toBe('acme/fw');
    expect((await settings({ WEBHOOK_SECRET: 'exactly-sixteen-' })).webhookSecret).toEqual(['exactly-sixteen-']);
  });

  it('take numbers from the file in every way that YAML has, and null as none', async () => {
    const config = file(
      'numbers.yaml',
      'cache-size: 0x10\nmax-downloads: 1e3\naccess-log: .5\nmax-firmware-size: 1e9\ncache-memory: 064\n' +
        'mqtt-url: null\nrepository-prefix: ~\nmax-stale:\nregistry-password-file: null\nregistry-auth-file: ~\n',
    );
    expect(await settings({ CONFIG: config })).toMatchObject({
      cacheSize: 16,
      maxDownloads: 1000,
      accessLog: 0.5,
      maxFirmwareSize: 1e9,
      cacheMemory: 64,
      mqttUrl: undefined,
      repositoryPrefix: '',
      maxStale: undefined,
      registryAuthFile: undefined,
    });
  });

  it('take the file by the variable CONFIG, and keys in any spelling, and lists and numbers as YAML has them', async () => {
    const config = file(
      'spelling.yaml',
      'refresh_interval: 5s\ncacheSize: 7\nPRERELEASES: no\nwebhook-secret: [one-secret-of-16, two-secrets-of-16]\n',
    );
    expect(await settings({ CONFIG: config })).toMatchObject({
      refreshInterval: 5000,
      cacheSize: 7,
      prereleases: false,
      webhookSecret: ['one-secret-of-16', 'two-secrets-of-16'],
    });
  });

  it('count an empty variable as not set', async () => {
    expect(await settings({ CACHE_SIZE: '', MQTT_URL: '' })).toMatchObject({ cacheSize: 100, mqttUrl: undefined });
  });

  it.each(VARIABLES.filter((variable) => optionOf(variable).secret))('take the secret %s from a file', async (name) => {
    const url = name === 'REDIS_URL' ? 'redis://redis.example' : 'mqtt://broker.example';
    const isUrl = ['MQTT_URL', 'NOTIFY', 'EVENTS', 'REDIS_URL'].includes(name);
    const secret = isUrl ? url : 'a-s3cret-of-16-characters';
    const path = file(name, `${secret}\n`);
    const value = (found: Settings): unknown => (found as unknown as Record<string, unknown>)[settingOf(name)];
    const user = { REGISTRY_USERNAME: 'robot', MQTT_TOPIC: 'firmware' };
    expect([value(await settings({ ...user, [`${name}_FILE`]: path }))].flat()).toEqual([secret]);
    const config = file(`${name}.yaml`, `${name.toLowerCase()}_file: ${path}\n`);
    expect([value(await settings(user, { config }))].flat()).toEqual([secret]);
  });

  it('refuse a secret that is given twice in one place', async () => {
    const path = file('password', 'x');
    await expect(settings({ REGISTRY_PASSWORD: 'y', REGISTRY_PASSWORD_FILE: path })).rejects.toThrow(
      'REGISTRY_PASSWORD and REGISTRY_PASSWORD_FILE are both given. Expected one of them',
    );
  });
});

describe('registry-url', () => {
  const location = async (url: string): Promise<unknown> => (await settings({ REGISTRY_URL: url })).registryUrl;

  it.each([
    ['https://harbor.example', { kind: 'http', origin: 'https://harbor.example', host: 'harbor.example', path: '' }],
    ['http://127.0.0.1:5000/', { kind: 'http', origin: 'http://127.0.0.1:5000', host: '127.0.0.1:5000', path: '' }],
    [
      'https://art.example/docker-local/',
      { kind: 'http', origin: 'https://art.example', host: 'art.example', path: 'docker-local' },
    ],
    ['localhost:5000', { kind: 'http', origin: undefined, host: 'localhost:5000', path: '' }],
    ['ghcr.io/myorg', { kind: 'http', origin: undefined, host: 'ghcr.io', path: 'myorg' }],
    ['oci:firmware', { kind: 'layout', directory: 'firmware' }],
    ['oci:/srv/firmware', { kind: 'layout', directory: '/srv/firmware' }],
    ['oci:///srv/firmware', { kind: 'layout', directory: '/srv/firmware' }],
  ])('reads %s', async (url, expected) => {
    expect(await location(url)).toEqual(expected);
  });

  it.each([
    ['http://127.0.0.1:5000/v2', 'a URL without /v2, which OtaFlux adds itself, such as http://127.0.0.1:5000'],
    ['ghcr.io/v2/acme/', 'a URL without /v2, which OtaFlux adds itself, such as ghcr.io/acme'],
    ['https://x.example/Foo', 'a path in lower case, such as https://x.example/foo'],
    ['https://[::1]:5000/Foo', 'a path in lower case, such as https://[::1]:5000/foo'],
    ['https://x.example/fw:1.0', 'a URL without a tag, such as https://x.example/fw'],
    ['x.example/fw:1.0', 'a URL without a tag, such as x.example/fw'],
    ['https://x.example/a b', 'https://host'],
    ['https://x.example/a..b', 'a path that consists of a-z, 0-9'],
    ['http:/x.example', 'two slashes after http:, such as http://x.example'],
    ['https:x.example/fw', 'two slashes after https:, such as https://x.example/fw'],
    ['oci://./reg', 'oci: without slashes for a folder, such as oci:./reg'],
    ['oci://reg', 'oci: without slashes for a folder, such as oci:reg'],
    ['./reg', 'oci: before the path of a folder, such as oci:./reg'],
    ['../reg', 'oci: before the path of a folder, such as oci:../reg'],
    ['/srv/reg', 'oci: before the path of a folder, such as oci:/srv/reg'],
    ['file:///srv/reg', 'oci: before the path of a folder, such as oci:/srv/reg'],
  ])('refuses %s, and says what to write', (url, expected) => {
    const given = { REGISTRY_URL: { value: url, where: 'REGISTRY_URL' } };
    expect(() => parseSettings(given)).toThrow(`REGISTRY_URL: got ${JSON.stringify(url)}, expected ${expected}`);
  });

  it('does not repeat a password in what it proposes', () => {
    const given = { REGISTRY_URL: { value: 'http:/me:geheim@x.example/Foo', where: 'REGISTRY_URL' } };
    expect(() => parseSettings(given)).toThrow(/^(?!.*geheim)/);
  });

  it.each(['', 'oci:', 'ftp://x', 'https://', 'https://x/?a=b'])('refuses %j', async (url) => {
    const given = { REGISTRY_URL: { value: url, where: 'REGISTRY_URL' } };
    expect(() => parseSettings(given)).toThrow(/^REGISTRY_URL: .*expected https:\/\/host/);
    await Promise.resolve();
  });
});

describe('values', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['0', 0],
    ['7d', 604_800_000],
  ])('a duration of %s', async (text, ms) => {
    expect((await settings({ MAX_STALE: text })).maxStale).toBe(ms);
  });

  it.each([
    ['512MiB', 536_870_912],
    ['1GB', 1_000_000_000],
    ['4Gi', 4_294_967_296],
    ['100k', 100_000],
    ['1.5MiB', 1_572_864],
    ['12345', 12_345],
  ])('a size of %s', async (text, bytes) => {
    expect((await settings({ CACHE_MEMORY: text })).cacheMemory).toBe(bytes);
  });

  it.each([
    ['[::1]:80', { host: '::1', port: 80 }],
    [':9000', { host: '0.0.0.0', port: 9000 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
  ])('an address of %s', async (text, address) => {
    expect((await settings({ LISTEN_ADDR: text })).listenAddr).toEqual(address);
  });

  it.each(['true', '1', 'yes', 'TRUE', 'on'])('%s is true', async (text) => {
    expect((await settings({ REGISTRY_INSECURE: text })).registryInsecure).toBe(true);
  });

  it.each(['false', '0', 'no', 'off'])('%s is false', async (text) => {
    expect((await settings({ PRERELEASES: text })).prereleases).toBe(false);
  });

  it.each([
    ['REFRESH_INTERVAL', '30', 'REFRESH_INTERVAL: got "30", expected a duration such as 500ms, 30s, 5m or 1h30m'],
    ['REFRESH_INTERVAL', '-1s', /expected a duration/],
    ['MAX_STALE', '9999999h', /expected a duration/],
    ['CACHE_MEMORY', 'lots', 'CACHE_MEMORY: got "lots", expected a size such as 512MiB, 4GiB or 100000'],
    ['CACHE_MEMORY', '1XB', /expected a size/],
    ['CACHE_SIZE', '1.5', 'CACHE_SIZE: got "1.5", expected a whole number from 0 to 1000000'],
    ['LISTEN_ADDR', '8080', /expected HOST:PORT/],
    ['LISTEN_ADDR', 'x:99999', /expected HOST:PORT/],
    ['PRERELEASES', 'maybe', 'PRERELEASES: got "maybe", expected true, false, 1, 0, yes or no'],
    ['LOG_LEVEL', 'loud', /expected one of trace, debug, info, warn, error, fatal/],
    ['CHECKSUM', 'crc64', /expected one of crc32, crc32c, crc32mpeg2/],
    ['MQTT_TOPIC', 'firmware/#', /expected a topic without \+ and #/],
    ['MQTT_TOPIC', '+/x', /expected a topic/],
    ['MQTT_TOPIC', '$SYS/x', /expected a topic/],
    ['SIGNATURE_POLICY', 'nonsense', /expected a list of \{match, keys\}/],
    ['SIGNATURE_POLICY', '[{"match":"a"}]', /look at entry 1$/],
    ['COSIGN_CERTIFICATE_IDENTITY_REGEXP', '(', /expected a regular expression/],
    ['MIN_VERSION', '1.2', /expected a semantic version/],
    ['REPOSITORY_PREFIX', 'Firmware', /expected a part of a repository name in lower case/],
    ['WATCH', 'ESP32', /^WATCH: got "ESP32", expected device ids in lower case, globs such as line-1\/\*, or all$/],
    ['WATCH', 'esp32,ESP32', /look at "ESP32"$/],
    ['WATCH', 'AA:BB:CC:DD:EE:FF', /expected device ids/],
    ['WATCH', 'a..b', /expected device ids/],
    ['WATCH', 'all,../*', /look at "\.\.\/\*"$/],
    ['DEVICE_HEADER', 'X-Device', /^TRUST_PROXY \(--trust-proxy\) is missing, expected the addresses of the proxies/],
    [
      'DEVICE_URL_SECRET',
      'fifteen-letters',
      /^DEVICE_URL_SECRET: got a secret that is not shown, expected .* 16 characters/,
    ],
    [
      'WEBHOOK_SECRET',
      'a-secret-that-is-long-enough,short',
      /WEBHOOK_SECRET.*16 characters.*; look at one that is shorter$/,
    ],
    ['REDIS_URL', 'http://redis.example', /REDIS_URL.*expected a URL that begins with redis:\/\//],
    ['REDIS_URL', 'redis+cluster://one.example:6379,,two.example', /REDIS_URL/],
    ['REDIS_URL', 'redis+sentinel://one.example:6379,two.example:99999/mymaster', /a port from 1 to 65535/],
    ['NOTIFY_SECRET', 'short', /NOTIFY_SECRET.*at least 16 characters.*openssl rand/],
    [
      'MQTT_CLIENT_CERT_PATH',
      'cert.pem',
      /MQTT_CLIENT_KEY_PATH.*is missing, expected a path, because MQTT_CLIENT_CERT_PATH is given/,
    ],
    [
      'MQTT_CLIENT_KEY_PATH',
      'key.pem',
      /MQTT_CLIENT_CERT_PATH.*is missing, expected a path, because MQTT_CLIENT_KEY_PATH is given/,
    ],
    [
      'REGISTRY_PASSWORD',
      'x',
      /REGISTRY_USERNAME.*is missing, expected a user name, because REGISTRY_PASSWORD is given/,
    ],
  ])('%s=%s is refused', async (variable, text, message) => {
    await expect(settings({ [variable]: text })).rejects.toThrow(message);
  });

  it.each([
    'http://robot:hunter2@127.0.0.1:5000',
    'https://robot:hun/ter2@registry.example.com/x',
    'robot:hunter2@registry.example.com',
    'https://robot:hunter2,x "hunter2@registry.example.com',
    'https://robot:hunter2@x@registry.example.com',
    'ftp://robot:hunter2@h',
    'https://hunter2@h?x=1',
  ])('a password in REGISTRY_URL=%s is not shown, and its option is named', async (url) => {
    const error = await settings({ REGISTRY_URL: url }).then(
      () => '',
      (caught: unknown) => (caught as Error).message,
    );
    expect(error).toMatch(/^REGISTRY_URL: got "(?:[a-z]+:\/\/)?…@/);
    expect(error).not.toMatch(/hun\/?ter2/);
    if (!url.startsWith('ftp')) expect(error).toMatch(/REGISTRY_USERNAME and REGISTRY_PASSWORD_FILE/);
  });

  it('a secret is not shown when it is wrong', async () => {
    await expect(settings({ MQTT_URL: 'http://u:hunter2@x' })).rejects.toThrow(
      'MQTT_URL: got a secret that is not shown, expected a URL that begins with mqtt:// or mqtts://',
    );
  });
});

describe('a configuration file', () => {
  it.each([
    ['unknown.yaml', 'refresh-intervall: 1m', /unknown key "refresh-intervall", did you mean refresh-interval\?/],
    ['twice.yaml', 'cache-size: 1\ncacheSize: 2', /"cacheSize" is given twice/],
    ['list.yaml', '- a\n- b', /is a YAML list or text, expected keys and values/],
    ['broken.yaml', 'a: [', /is not YAML: .*line 1/],
    ['wrong.yaml', 'cache-size: many', /wrong\.yaml: cache-size: got "many", expected a whole number/],
    ['nested.yaml', 'cache-size: {a: 1}', /nested\.yaml: cache-size: got .*expected a whole number/],
  ])('%s is refused with its place', async (name, content, message) => {
    await expect(settings({}, { config: file(name, content) })).rejects.toThrow(message);
  });

  it('that cannot be read is named', async () => {
    await expect(settings({}, { config: join(folder, 'nope.yaml') })).rejects.toThrow(
      /^--config: cannot read ".*nope\.yaml": no such file/,
    );
  });

  it('may be empty', async () => {
    expect(await settings({}, { config: file('empty.yaml', '# nothing\n') })).toMatchObject({ cacheSize: 100 });
  });
});
