import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Authority } from '../support/authority.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const firmware = firmwareBytes(20_000);

describe('TLS on the device port', () => {
  const registry = new FakeRegistry();
  let folder = '';
  let ca: Authority;
  let service: TestService;
  let files: { cert: string; key: string };

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-tls-'));
    ca = new Authority(join(folder, 'pki'), 'ca');
    files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
    install(ca.issue('server'));
    registry.push('esp32', '1.0.0', firmware);
    registry.push('line-1/sensor', '1.0.0', firmware);
  });
  afterEach(async () => {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const install = (issued: { cert: string; key: string }): void => {
    copyFileSync(issued.cert, files.cert);
    copyFileSync(issued.key, files.key);
  };
  const start = async (options: TestOptions = {}, tls: ConnectionOptions = { ca: ca.pem }): Promise<void> => {
    service = await TestService.start(
      { REGISTRY_URL: registry.url, TLS_CERT_PATH: files.cert, TLS_KEY_PATH: files.key, ...options },
      {},
      tls,
    );
  };
  const clientOf = (name: string, san: string | string[] = ''): ConnectionOptions => {
    const issued = ca.issue(name, san);
    return { ca: ca.pem, cert: readFileSync(issued.cert), key: readFileSync(issued.key) };
  };
  const ask = async (tls: ConnectionOptions, device: string): Promise<number> => {
    const client = await RawClient.open(service.port, tls);
    const { status } = await client.request(`GET /version?device=${device} HTTP/1.1\r\n\r\n`);
    client.close();
    return status;
  };

  it.each([
    [
      'TLS 1.2 with what mbedTLS and the Rust client speak',
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      { protocol: 'TLSv1.2', cipher: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
    ],
    ['TLS 1.3', { minVersion: 'TLSv1.3' }, { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }],
  ] as const)('speaks %s', async (_name, tls, { protocol, cipher }) => {
    await start();
    const client = await RawClient.open(service.port, { ca: ca.pem, ...tls });
    const socket = client.socket as TLSSocket;
    expect(socket.authorized).toBe(true);
    expect([socket.getProtocol(), socket.getCipher().name]).toEqual([protocol, cipher]);
    const answer = await client.request('GET /version?device=esp32 HTTP/1.0\r\n\r\n');
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toMatch(/^1\.0\.0\n\d+\n20000$/);
    client.close();
  });

  it('speaks neither TLS 1.1 nor plain HTTP', async () => {
    await start();
    const old = connectTls({
      port: service.port,
      ca: ca.pem,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const error = await new Promise<Error>((resolve) => old.once('error', resolve));
    expect(error.message).toMatch(/protocol version|ECONNRESET|unsupported/i);
    const plain = await RawClient.open(service.port);
    await expect(plain.request('GET /version?device=esp32 HTTP/1.1\r\n\r\n')).rejects.toThrow(/connection ended/);
    await until(async () => /otaflux_tls_handshake_failures_total [12]/.test(await service.metrics()), 'the count');
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'resumes sessions in %s, so that a device need not make a whole handshake again',
    async (version) => {
      await start();
      const open = (session?: Buffer): Promise<{ socket: TLSSocket; session: Buffer }> =>
        new Promise((resolve, reject) => {
          const socket = connectTls({
            host: '127.0.0.1',
            port: service.port,
            ca: ca.pem,
            maxVersion: version,
            ...(session && { session }),
          });
          socket.once('error', reject);
          socket.write('GET /version?device=esp32 HTTP/1.1\r\n\r\n');
          let ticket: Buffer | undefined;
          socket.on('session', (found: Buffer) => (ticket = found));
          socket.on('data', () => {
            resolve({ socket, session: ticket ?? socket.getSession()! });
          });
        });
      const first = await open();
      first.socket.destroy();
      const second = await open(first.session);
      expect(second.socket.isSessionReused()).toBe(true);
      second.socket.destroy();
      // Also behind a new certificate.
      install(ca.issue('renewed'));
      service.service.tls!.reload();
      const third = await open(first.session);
      expect(third.socket.isSessionReused()).toBe(true);
      third.socket.destroy();
    },
  );

  it('takes a new certificate under load without one failed request', async () => {
    await start();
    await service.version('esp32');
    let running = true;
    const seen = new Set<string>();
    let answered = 0;
    const device = async (): Promise<void> => {
      while (running) {
        const client = await RawClient.open(service.port, { ca: ca.pem });
        for (let i = 0; i < 3; i++) {
          const { status } = await client.request('GET /version?device=esp32 HTTP/1.1\r\n\r\n');
          expect(status).toBe(200);
          answered++;
        }
        seen.add((client.socket as TLSSocket).getPeerCertificate().subject.CN as string);
        client.close();
      }
    };
    const devices = Array.from({ length: 8 }, device);
    await until(() => seen.has('server'), 'the first certificate');
    for (const name of ['second', 'third', 'fourth']) {
      const before = answered;
      install(ca.issue(name));
      service.service.tls!.reload();
      await until(() => seen.has(name) && answered > before + 50, name);
    }
    running = false;
    await Promise.all(devices);
    expect([...seen]).toEqual(['server', 'second', 'third', 'fourth']);
    expect(service.events('file.failed')).toEqual([]);
  });

  it('keeps the old pair while the new one is half there, and says so once', async () => {
    await start();
    copyFileSync(ca.issue('half').cert, files.cert);
    service.service.tls!.reload();
    service.service.tls!.reload();
    expect(service.events('file.failed')).toHaveLength(1);
    expect(service.events('file.failed')[0]?.reason).toMatch(
      /the key in ".*" does not belong to the certificate in ".*"/,
    );
    expect(await ask({ ca: ca.pem }, 'esp32')).toBe(200);
    install(ca.issue('whole'));
    service.service.tls!.reload();
    expect(service.events('file.reloaded')).toHaveLength(1);
    expect(await service.metrics()).toMatch(/otaflux_tls_certificate_not_after_seconds\{port="device"\} 1[789]\d{8}/);
  });

  it.each([
    [{ TLS_KEY_PATH: '' }, 'TLS_KEY_PATH (--tls-key-path) is missing'],
    [{ TLS_CERT_PATH: '' }, 'TLS_CERT_PATH (--tls-cert-path) is missing'],
    [
      { TLS_CERT_PATH: '', TLS_KEY_PATH: '', TLS_CLIENT_CA_PATH: '/x' },
      'is missing, expected a path, because TLS_CLIENT_CA_PATH is given',
    ],
    [{ TLS_CERT_PATH: '/not/there' }, 'cannot read "/not/there"'],
  ])('refuses %j at the start', async (options, message) => {
    await expect(start(options)).rejects.toThrow(message);
    await start();
  });

  it('demands a client certificate, and lets it speak for its own device only', async () => {
    await start({ TLS_CLIENT_CA_PATH: ca.cert });
    expect(await ask(clientOf('esp32'), 'esp32')).toBe(200);
    expect(await ask(clientOf('other'), 'esp32')).toBe(403);
    expect(await ask(clientOf('by-name', 'DNS:esp32'), 'esp32')).toBe(200);
    expect(await ask(clientOf('by-uri', 'URI:line-1/sensor'), 'line-1/sensor')).toBe(200);
    expect(await ask(clientOf('by-email', 'email:esp32'), 'esp32')).toBe(403);
    // An alternative name that looks like two.
    expect(await ask(clientOf('two', ['DNS:x, DNS:esp32']), 'esp32')).toBe(403);
    // None, or one that nobody knows: the handshake is refused.
    await expect(ask({ ca: ca.pem }, 'esp32')).rejects.toThrow();
    const stranger = new Authority(join(folder, 'pki'), 'stranger').issue('esp32');
    await expect(
      ask({ ca: ca.pem, cert: readFileSync(stranger.cert), key: readFileSync(stranger.key) }, 'esp32'),
    ).rejects.toThrow();
    // Probes, metrics and webhooks are on the management port, in the clear.
    expect((await fetch(`${service.managementUrl}/health/ready`)).status).toBe(200);
    const hook = { method: 'POST', body: '{"repository":"esp32"}' };
    expect((await fetch(`${service.managementUrl}/webhooks/generic`, hook)).status).toBe(200);
    expect(await service.metrics()).toMatch(/otaflux_device_denied_total\{reason="other"\} 3/);
  });

  it('takes a client authority away though the new certificate is half there, and the other way round', async () => {
    const authorities = join(folder, 'authorities.pem');
    const old = new Authority(join(folder, 'pki'), 'old-authority');
    writeFileSync(authorities, readFileSync(old.cert, 'utf8'));
    await start({ TLS_CLIENT_CA_PATH: authorities });
    const device = old.issue('esp32');
    const client = { ca: ca.pem, cert: readFileSync(device.cert), key: readFileSync(device.key) };
    expect(await ask(client, 'esp32')).toBe(200);
    copyFileSync(ca.issue('half-written').cert, files.cert);
    copyFileSync(ca.cert, authorities);
    service.service.tls!.reload();
    await expect(ask(client, 'esp32')).rejects.toThrow();
    expect(await ask(clientOf('esp32'), 'esp32')).toBe(200);
    expect(service.events('file.failed')).toMatchObject([{ option: '--tls-cert-path, --tls-key-path' }]);
    writeFileSync(authorities, 'half');
    install(ca.issue('whole-again'));
    service.service.tls!.reload();
    expect(service.events('file.reloaded')).toMatchObject([
      { option: '--tls-client-ca-path' },
      { option: '--tls-cert-path, --tls-key-path' },
    ]);
    expect(await ask(clientOf('esp32'), 'esp32')).toBe(200);
  });

  it('lets the certificate of a gateway speak for its devices, by the map, which is read again', async () => {
    const map = join(folder, 'map.yaml');
    writeFileSync(map, 'gateway-1: [line-1/*]\n');
    await start({ TLS_CLIENT_CA_PATH: ca.cert, TLS_DEVICE_MAP: map });
    const gateway = clientOf('gateway-1');
    expect(await ask(gateway, 'line-1/sensor')).toBe(200);
    expect(await ask(gateway, 'esp32')).toBe(403);
    expect(await ask(gateway, 'gateway-1')).toBe(404);
    await service.stop();
    writeFileSync(map, '- no map\n');
    await expect(start({ TLS_CLIENT_CA_PATH: ca.cert, TLS_DEVICE_MAP: map })).rejects.toThrow('expected a YAML map');
    await start();
  });
});
