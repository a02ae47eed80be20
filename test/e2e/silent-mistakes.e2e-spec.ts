import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cli, run } from '../support/cli.js';
import { PrivateSigstore } from '../support/private-sigstore.js';
import type { LogLine } from '../support/service.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-mistakes-'));
const file = join(folder, 'file');
writeFileSync(file, '');
const trustedRoot = join(folder, 'trusted_root.json');
beforeAll(async () => {
  writeFileSync(trustedRoot, (await PrivateSigstore.create()).trustedRoot);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const BASE = { REGISTRY_URL: 'http://127.0.0.1:1', LISTEN_ADDR: '127.0.0.1:0', METRICS_LISTEN_ADDR: '127.0.0.1:0' };

/** The log lines of `event` that a start writes. */
async function linesOf(event: string, environment: Record<string, string>): Promise<LogLine[]> {
  const server = new Cli([], { ...BASE, ...environment });
  await server.event('server.ready');
  server.kill();
  const { code, stdout } = await server.finished;
  expect(code).toBe(0);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((text) => JSON.parse(text) as LogLine)
    .filter((line) => line.event === event);
}

describe('a start warns in one line', () => {
  it('of variables that are most likely misspelt, with what was meant', async () => {
    const environment = { REFRESH_INTERVALL: '1m', COSIGN_PUBKEY_PATH: 'x', REGISTRY_HOST: 'x', REGISTRY_UI: 'x' };
    expect(await linesOf('config.unknown_variable', environment)).toEqual([
      expect.objectContaining({
        level: 'warn',
        reason:
          'these environment variables have no effect. COSIGN_PUBKEY_PATH: did you mean COSIGN_PUB_KEY_PATH? REFRESH_INTERVALL: did you mean REFRESH_INTERVAL?',
      }),
    ]);
    expect(await linesOf('config.unknown_variable', {})).toEqual([]);
  });

  it('of secrets that can be guessed, without them', async () => {
    const short = {
      REGISTRY_USERNAME: 'robot',
      REGISTRY_PASSWORD: 'hunter2',
      MQTT_URL: 'mqtt://u:hunter3@127.0.0.1:1',
    };
    const [line, ...more] = await linesOf('config.short_secret', { ...short, MQTT_TOPIC: 'x' });
    expect(line?.reason).toMatch(/^REGISTRY_PASSWORD, the password in MQTT_URL: shorter than 16 characters/);
    expect(JSON.stringify(line)).not.toContain('hunter');
    expect(more).toEqual([]);
    const long = { REGISTRY_USERNAME: 'robot', REGISTRY_PASSWORD: 'sixteen-or-more-', MQTT_URL: 'mqtt://127.0.0.1:1' };
    expect(await linesOf('config.short_secret', { ...long, MQTT_TOPIC: 'x' })).toEqual([]);
  });

  it('of entries of NO_PROXY that cannot be read', async () => {
    const [line] = await linesOf('config.no_proxy_ignored', { NO_PROXY: 'localhost,10.0.0.0/99,http://x' });
    expect(line?.reason).toMatch(/^NO_PROXY: ignored "10\.0\.0\.0\/99", "http:\/\/x", expected host names/);
    expect(await linesOf('config.no_proxy_ignored', { NO_PROXY: 'localhost,10.0.0.0/8,*.svc,::1' })).toEqual([]);
  });
});

describe('a start warns of trust in everybody', () => {
  const issuer = { COSIGN_CERTIFICATE_OIDC_ISSUER: 'https://idp.test', SIGSTORE_TRUSTED_ROOT_PATH: trustedRoot };

  it('as a proxy', async () => {
    const [line] = await linesOf('proxy.any_trusted', { TRUST_PROXY: '10.0.0.1,0.0.0.0/0' });
    expect(line).toMatchObject({ level: 'warn', reason: expect.stringMatching(/^TRUST_PROXY .*X-Forwarded-For/) });
    expect(await linesOf('proxy.any_trusted', { TRUST_PROXY: '10.0.0.0/8' })).toEqual([]);
  });

  it('as a signer', async () => {
    const [line] = await linesOf('signature.any_signer', { ...issuer, COSIGN_CERTIFICATE_IDENTITY_REGEXP: '.*' });
    expect(line).toMatchObject({
      level: 'warn',
      reason: expect.stringMatching(/^COSIGN_CERTIFICATE_IDENTITY_REGEXP is "\.\*": .*anybody can sign/),
    });
    const own = { ...issuer, COSIGN_CERTIFICATE_IDENTITY_REGEXP: '@acme\\.test$' };
    expect(await linesOf('signature.any_signer', own)).toEqual([]);
  });
});

describe('a start refuses', () => {
  it.each([
    [{ WEBHOOK_SECRET: 'hunter2' }, /WEBHOOK_SECRET: got a secret that is not shown, expected a secret of at least 16/],
    [{ DEVICE_URL_SECRET: 'hunter2' }, /DEVICE_URL_SECRET: .* at least 16 characters/],
    [{ NOTIFY: 'http://127.0.0.1:1', NOTIFY_SECRET: 'hunter2' }, /NOTIFY_SECRET: .* at least 16 characters/],
    [{ DEVICE_HEADER: 'X-Device' }, /TRUST_PROXY \(--trust-proxy\) is missing, .*DEVICE_HEADER/],
    [{ MAX_FIRMWARE_SIZE: '0' }, /MAX_FIRMWARE_SIZE: got "0", expected a size of at least one byte, such as 512MiB/],
    [{ MAX_FIRMWARE_SIZE: '0MiB' }, /MAX_FIRMWARE_SIZE: got "0MiB", expected a size of at least one byte/],
    [{ TLS_DEVICE_MAP: '/map.yaml' }, /TLS_CLIENT_CA_PATH \(--tls-client-ca-path\) is missing, .*TLS_DEVICE_MAP/],
    [{ WATCH: 'ESP32' }, /WATCH: got "ESP32", expected device ids in lower case/],
    [{ REPOSITORY_PREFIX: 'Firmware' }, /REPOSITORY_PREFIX: got "Firmware", expected .* lower case/],
  ])('%j', async (environment, message) => {
    const { code, stderr } = await run([], { ...BASE, ...(environment as Record<string, string>) });
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('hunter2');
    expect(code).toBe(2);
  });

  it.each(['CACHE_DIR', 'STATE_DIR', 'SIGSTORE_CACHE_DIR'])(
    '%s that is a file, or below one, in the same words',
    async (name) => {
      const option = `--${name.toLowerCase().replaceAll('_', '-')}`;
      const keyless = { COSIGN_CERTIFICATE_IDENTITY: 'a', COSIGN_CERTIFICATE_OIDC_ISSUER: 'b' };
      for (const [path, why] of [
        [file, 'a file of this name exists'],
        [join(file, 'below'), 'a part of the path is a file, not a directory'],
        // Node's own mkdir would never return.
        ...(process.platform === 'linux' ? ([['/proc/a-folder/below', 'no such file or directory']] as const) : []),
      ] as const) {
        const { code, stderr } = await run([], { ...BASE, ...keyless, [name]: path });
        expect(stderr).toMatch(
          new RegExp(
            `^otaflux: ${option}: cannot use "${path}": ${why}\\. Expected a directory that the server can create or write to`,
          ),
        );
        expect(code).toBe(2);
      }
    },
  );
});
