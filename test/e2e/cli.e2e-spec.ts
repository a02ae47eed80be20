import { afterAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cli, run } from '../support/cli.js';
import { fixture } from '../support/fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'otaflux-cli-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const LAYOUTS = `oci:${fixture('layouts')}`;
const FREE = ['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'];

describe('otaflux', () => {
  it('--version prints the version of the package', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' });
  });

  it.each([
    [['serve'], {}, /REGISTRY_URL \(--registry-url\) is missing, expected https:\/\/host/],
    [['--registry-url', 'ftp://x'], {}, /--registry-url: got "ftp:\/\/x", expected https:\/\/host/],
    [[], { REGISTRY_URL: 'x', CACHE_SIZE: 'many' }, /CACHE_SIZE: got "many", expected a whole number/],
    [['--registry-urll', 'x'], {}, /unknown option '--registry-urll'.*Did you mean --registry-url\?/],
    [['--registry-url'], {}, /option '--registry-url <url>' argument missing/],
    [['--registry-url', 'x', '--prereleases=maybe'], {}, /--prereleases: got "maybe", expected true, false/],
    [['--config', '/nope.yaml'], {}, /--config: cannot read "\/nope.yaml": no such file/],
    [['serv'], {}, /too many arguments|unknown command/],
    [['--registry-url', 'x', '--registry-ca-cert-path', '/nope'], {}, /--registry-ca-cert-path: cannot read "\/nope"/],
    [['--registry-url', 'x', '--registry-auth-file', '/nope'], {}, /--registry-auth-file: cannot read "\/nope"/],
    [
      ['--registry-url', 'x', '--mqtt-client-cert-path', 'a'],
      {},
      /MQTT_CLIENT_KEY_PATH.*expected a path, because MQTT_CLIENT_CERT_PATH is given/,
    ],
  ] as const)('%j %j ends with code 2 and one line', async (args, env, message) => {
    const { code, stderr, stdout } = await run([...args], { ...env });
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  it('names the environment variable that was misspelt', async () => {
    for (const command of [[], ['list', 'esp32']]) {
      const { code, stderr } = await run(command, { REGISTRY_ULR: 'oci:x' });
      expect(stderr).toMatch(
        /^otaflux: the environment variable REGISTRY_ULR has no effect\. Did you mean REGISTRY_URL\?$/m,
      );
      expect(code).toBe(2);
    }
  });

  it('never prints a secret, wherever it stands', async () => {
    const env = { REGISTRY_URL: '127.0.0.1:1', REGISTRY_USERNAME: 'robot', REGISTRY_PASSWORD: 'hunter2-hunter2' };
    const wrong = await run(['--mqtt-url', 'http://u:hunter2-hunter2@x'], env);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).not.toContain('hunter2');
    const server = new Cli(['--log-level', 'trace', '--registry-timeout', '300ms', ...FREE], env);
    expect((await fetch(`http://127.0.0.1:${await server.port()}/version?device=hunter2-hunter2`)).status).toBe(503);
    server.kill();
    const { stdout, stderr } = await server.finished;
    expect(stdout + stderr).not.toContain('hunter2');
    expect(stdout).toContain('[redacted]');
  });

  it('takes booleans as --x, --x=false and --no-x', async () => {
    for (const [flags, version] of [
      [[], '2.0.0-rc.1'],
      [['--prereleases'], '2.0.0-rc.1'],
      [['--prereleases=false'], '1.2.0+build.5'],
      [['--no-prereleases'], '1.2.0+build.5'],
    ] as const) {
      const server = new Cli(['--registry-url', LAYOUTS, ...flags, ...FREE]);
      const response = await fetch(`http://127.0.0.1:${await server.port()}/version?device=esp32`);
      expect((await response.text()).split('\n')[0]).toBe(version);
      server.kill();
      expect((await server.finished).code).toBe(0);
    }
  });

  it('starts while the registry is down, warns about open doors, and is ready', async () => {
    const server = new Cli(['--registry-url', 'http://127.0.0.1:1', ...FREE]);
    const port = await server.port();
    expect((await fetch(`http://127.0.0.1:${port}/health/ready`)).status).toBe(200);
    await server.event('signature.off');
    server.kill('SIGINT');
    expect((await server.finished).code).toBe(0);
  });

  it('says which address cannot be listened on', async () => {
    const taken: Server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    for (const flag of ['--listen-addr', '--metrics-listen-addr']) {
      const { code, stderr, stdout } = await run(['--registry-url', LAYOUTS, ...FREE, flag, address]);
      expect(stderr).toBe(
        `otaflux: ${flag}: cannot listen on ${address}: the port is already in use. Stop the program that uses it, or choose another port\n`,
      );
      // Nest would log the error of Node.js first.
      expect(stdout).not.toContain('EADDRINUSE');
      expect(code).toBe(2);
    }
    taken.close();
    for (const [one, other] of [
      [address, address],
      [address, `:${address.split(':')[1] ?? ''}`],
    ] as const)
      expect(
        (await run(['--registry-url', LAYOUTS, '--metrics-listen-addr', one, '--listen-addr', other])).stderr,
      ).toBe(
        `otaflux: --listen-addr and --metrics-listen-addr have the same port, ${address.split(':')[1] ?? ''}. Choose another port for one of them\n`,
      );
    expect((await run(['--registry-url', LAYOUTS, ...FREE, '--listen-addr', 'no.invalid:0'])).stderr).toMatch(
      /^otaflux: --listen-addr: cannot listen on no\.invalid:0: .*\. Use 0\.0\.0\.0 for all addresses of this machine, or one that it has\n$/,
    );
  });

  it('does not serve what it was told to verify and cannot', async () => {
    const { code, stderr } = await run(['--registry-url', LAYOUTS, '--cosign-pub-key-path', fixture('keys/nope.pub')]);
    expect(stderr).toMatch(/^otaflux: --cosign-pub-key-path: /);
    expect(code).toBe(2);
  });

  it('serves the configuration that config/otaflux.yaml shows, which is current', async () => {
    execFileSync(process.execPath, ['scripts/generate-docs.mjs', '--check'], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
    });
    const config = join(folder, 'all.yaml');
    writeFileSync(config, `registry-url: ${LAYOUTS}\nlisten-addr: 127.0.0.1:0\nmetrics-listen-addr: 127.0.0.1:0\n`);
    const server = new Cli(['--config', config]);
    expect((await fetch(`http://127.0.0.1:${await server.port()}/version?device=esp32`)).status).toBe(200);
    server.kill();
    await server.finished;
  });
});

it('a standard output that takes nothing is one line on standard error, and exit code 1', () => {
  const { status, stderr } = spawnSync('sh', ['-c', '"$0" "$1" --help > /dev/full', process.execPath, MAIN], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('otaflux: cannot write to standard output: no space left on the disk\n');
  expect(status).toBe(1);
});
