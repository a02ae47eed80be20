import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gather, parseSettings } from '../../src/config/index.js';
import { Cli, type Finished } from '../support/cli.js';
import { fixture } from '../support/fixture.js';
import { itWith } from '../support/real-server.js';
import { answering } from '../support/terminal.js';

const LAYOUTS = `oci:${fixture('layouts')}`;

describe('otaflux init', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-init-'));
    file = join(folder, 'otaflux.yaml');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const init = (...args: string[]): Promise<Finished> => new Cli(['init', ...args], {}, folder).finished;
  const settings = async (): Promise<unknown> =>
    parseSettings(await gather({ flags: { config: file }, environment: {} }));

  it('writes a file with comments, by which the server starts', async () => {
    const free = ['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'];
    expect(await init('--registry-url', LAYOUTS, '--no-prereleases', ...free)).toEqual({
      code: 0,
      stdout: 'Wrote otaflux.yaml\nStart the server: otaflux --config otaflux.yaml\n',
      stderr: '',
    });
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/# URL of the registry that holds your firmware\.[^\n]*\n(#[^\n]*\n)*registry-url: oci:/);
    expect(text).toMatch(/\n#refresh-interval: 30s\n/);
    const server = new Cli(['--config', 'otaflux.yaml'], {}, folder);
    const answer = await fetch(`http://127.0.0.1:${await server.port()}/version?device=esp32`);
    expect((await answer.text()).split('\n')[0]).toBe('1.2.0+build.5');
    server.kill();
    expect((await server.finished).code).toBe(0);
  });

  it('writes every value so that it is read as it was given', async () => {
    const odd = ['--firmware-file', 'a: b # c', '--registry-username', 'it\'s "x"', '--watch', 'line-1/*, esp32'];
    await init('--registry-url', 'https://[::1]:5000/a', '--registry-password', 'hunter2-hunter2', ...odd);
    expect(await settings()).toMatchObject({
      registryUrl: { kind: 'http', host: '[::1]:5000', path: 'a' },
      registryUsername: 'it\'s "x"',
      registryPassword: 'hunter2-hunter2',
      firmwareFile: 'a: b # c',
      watch: ['line-1/*', 'esp32'],
    });
    expect(statSync(file).mode & 0o077).toBe(0);
  });

  it('takes the file of a secret, which need not exist yet, in place of the secret', async () => {
    const { code } = await init('--registry-url', LAYOUTS, '--webhook-secret-file', './secret');
    expect(code).toBe(0);
    expect(readFileSync(file, 'utf8')).toMatch(/\nwebhook-secret-file: \.\/secret\n/);
  });

  it.each([
    [[], /^otaflux: init asks its questions on a terminal\. .*--registry-url/],
    [['--registry-url', 'ftp://x'], /^otaflux: --registry-url: got "ftp:\/\/x"/],
    [['--registry-url', 'x', '--registry-password', 'secret'], /^otaflux: REGISTRY_USERNAME/],
    [['--registry-url', 'x', '--output', 'not/there.yaml'], /^otaflux: --output: cannot write "not\/there\.yaml"/],
  ])('%j ends with code 2, and writes nothing', async (args, message) => {
    const { code, stdout, stderr } = await init(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(existsSync(file)).toBe(false);
  });

  it('replaces a file only with --force', async () => {
    writeFileSync(file, 'mine');
    const refused = await init('--registry-url', LAYOUTS);
    expect(refused.stderr).toBe(
      'otaflux: --output: otaflux.yaml exists. Use --force to replace it, or --output for another file\n',
    );
    expect(refused.code).toBe(2);
    expect(readFileSync(file, 'utf8')).toBe('mine');
    expect((await init('--registry-url', LAYOUTS, '--output', 'other.yaml')).code).toBe(0);
    expect((await init('--registry-url', LAYOUTS, '--force')).code).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('registry-url: oci:');
  });

  itWith(['script'], 'asks on a terminal, again where an answer is wrong, and not for what is given', async () => {
    const { code, shown } = await answering(
      ['init', '--mqtt-url', 'mqtt://broker.example'],
      [
        ['URL of the registry', 'ftp://x'],
        ['URL of the registry', 'https://harbor.example'],
        ['Prefix', 'fw'],
        ['User name', 'robot'],
        ['File with the password', ''],
        ['PEM file', ''],
        ['Address', ''],
        ['MQTT topic', ''],
      ],
      folder,
    );
    expect(shown).toMatch(/Expected https:\/\/host/);
    expect(shown).not.toContain('MQTT broker');
    expect(code).toBe(0);
    writeFileSync(join(folder, 'registry-password'), 'secret');
    const text = readFileSync(file, 'utf8');
    for (const line of [
      'registry-url: https://harbor.example',
      'repository-prefix: fw',
      'registry-username: robot',
      'registry-password-file: ./registry-password',
      'listen-addr: 0.0.0.0:8080',
      'mqtt-url: mqtt://broker.example',
      'mqtt-topic: firmware',
      '#cosign-pub-key-path:',
    ])
      expect(text.split('\n')).toContain(line);
  });

  itWith(['script'], 'writes nothing when the person cancels', async () => {
    const { code, shown } = await answering(['init'], [['URL of the registry', '\u0004']], folder);
    expect(shown).toContain('otaflux: cancelled, no file was written');
    expect(code).toBe(2);
    expect(existsSync(file)).toBe(false);
  });
});
