import { afterAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '../support/authority.js';
import { TestService } from '../support/service.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-pem-'));
const authority = new Authority(folder, 'acme');
const server = authority.issue('server');
const other = authority.issue('other');
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string, content: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const secured = { format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' } as const;
const garbage = file('garbage.pem', 'hello');
const empty = file('empty.pem', '');
const key = file('private.pem', privateKey.export({ format: 'pem', type: 'pkcs8' }));
const pub = file('public.pem', publicKey.export({ format: 'pem', type: 'spki' }));
const encrypted = file('encrypted.pem', privateKey.export(secured));
const cosignKey = file(
  'cosign.key',
  '-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n',
);
const ssh = file('id.pub', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@host\n');
const der = file(
  'server.der',
  Buffer.from(readFileSync(server.cert, 'utf8').replaceAll(/-----.*-----|\s/g, ''), 'base64'),
);
const cut = file('cut.pem', readFileSync(server.cert, 'utf8').slice(0, 200));
const damaged = file('damaged.pem', readFileSync(server.cert, 'utf8').replace(/\nMII/, '\nAAA'));
const damagedKey = file('damaged-key.pem', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
const damagedPub = file('damaged-pub.pem', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n');

const start = async (environment: Record<string, string>): Promise<never> => {
  const service = await TestService.start({ REGISTRY_URL: 'http://127.0.0.1:1', ...environment });
  await service.stop();
  throw new Error('it started');
};

describe('a PEM file that is not what its option is for', () => {
  const wrongKeys: [string, string, RegExp][] = [
    ['garbage', garbage, /it holds no PEM text, expected a public key/],
    ['nothing', empty, /it holds nothing, expected a public key/],
    ['a private key', key, /it holds a private key, expected a public key .*cosign public-key/],
    ['a private key of cosign', cosignKey, /it holds an encrypted private key, expected a public key/],
    ['a certificate', server.cert, /it holds a certificate, expected a public key .*openssl x509 -pubkey/],
    ['a key of SSH', ssh, /it holds a public key of SSH, expected a public key/],
    ['a damaged key', damagedPub, /its public key is damaged/],
    ['a folder that has none', folder + '/none', /no such file/],
  ];
  it.each(wrongKeys)('is named for COSIGN_PUB_KEY_PATH: %s', async (_name, path, message) => {
    const started = start({ COSIGN_PUB_KEY_PATH: path });
    await expect(started).rejects.toThrow(message);
    await expect(started).rejects.toThrow(`--cosign-pub-key-path: cannot use "${path}": `);
  });

  it('is named for COSIGN_PUB_KEY, which takes no path', async () => {
    await expect(start({ COSIGN_PUB_KEY: pub })).rejects.toThrow(
      /^--cosign-pub-key: it holds no PEM text, .*A path is given by --cosign-pub-key-path$/,
    );
  });

  const wrongCertificates: [string, string, RegExp][] = [
    ['garbage', garbage, /it holds no PEM text, expected a certificate in PEM text \(BEGIN CERTIFICATE\)/],
    ['a private key', key, /it holds a private key, expected a certificate/],
    ['a public key', pub, /it holds a public key, expected a certificate/],
    ['DER', der, /it holds DER instead of PEM text, expected a certificate/],
    ['half a certificate', cut, /its certificate is cut off/],
    ['a damaged certificate', damaged, /its certificate is damaged/],
  ];
  const authorities: [string, Record<string, string>][] = [
    ['--registry-ca-cert-path', {}],
    ['--tls-client-ca-path', { TLS_CERT_PATH: server.cert, TLS_KEY_PATH: server.key }],
    ['--mqtt-ca-cert-path', { MQTT_URL: 'mqtts://127.0.0.1:1', MQTT_TOPIC: 'x' }],
  ];
  it.each(authorities.flatMap(([option, rest]) => wrongCertificates.map((row) => [option, ...row, rest] as const)))(
    'is named for %s: %s',
    async (option, _name, path, message, rest) => {
      const variable = option.slice(2).replaceAll('-', '_').toUpperCase();
      const started = start({ ...rest, [variable]: path });
      await expect(started).rejects.toThrow(message);
      await expect(started).rejects.toThrow(`${option}: "${path}": `);
      await expect(started).rejects.not.toThrow(/PEM routines|asn1|ERR_OSSL/);
    },
  );

  it.each(wrongCertificates)('is named for a certificate with a key: %s', async (_name, path, message) => {
    await expect(start({ TLS_CERT_PATH: path, TLS_KEY_PATH: server.key })).rejects.toThrow(message);
    const mqtt = { MQTT_URL: 'mqtts://127.0.0.1:1', MQTT_TOPIC: 'x', MQTT_CLIENT_KEY_PATH: server.key };
    await expect(start({ ...mqtt, MQTT_CLIENT_CERT_PATH: path })).rejects.toThrow(message);
    await expect(start({ NOTIFY: `rediss://127.0.0.1:1?cert=${path}&key=${server.key}` })).rejects.toThrow(message);
  });

  it.each<[string, string, RegExp]>([
    ['garbage', garbage, /it holds no PEM text, expected a private key/],
    ['a certificate', server.cert, /it holds a certificate, expected a private key/],
    ['a public key', pub, /it holds a public key, expected a private key/],
    ['an encrypted key', encrypted, /its private key is encrypted.*openssl pkey/],
    ['a damaged key', damagedKey, /its private key is damaged/],
    ['the key of another', other.key, /does not belong to the certificate/],
  ])('is named for the key of a certificate: %s', async (_name, path, message) => {
    await expect(start({ TLS_CERT_PATH: server.cert, TLS_KEY_PATH: path })).rejects.toThrow(message);
    const mqtt = { MQTT_URL: 'mqtts://127.0.0.1:1', MQTT_TOPIC: 'x', MQTT_CLIENT_CERT_PATH: server.cert };
    await expect(start({ ...mqtt, MQTT_CLIENT_KEY_PATH: path })).rejects.toThrow(message);
    await expect(start({ NOTIFY: `rediss://127.0.0.1:1?cert=${server.cert}&key=${path}` })).rejects.toThrow(message);
  });
});
