import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cli, type Finished } from '../support/cli.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const OTHER = 65_534;
/** Whether that user can run the command at all: it must be root that tests, in a folder that is open to others. */
const canBeOther =
  process.getuid?.() === 0 && spawnSync(process.execPath, [MAIN, '--version'], { uid: OTHER, gid: OTHER }).status === 0;

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'otaflux-rights-'));
  chmodSync(folder, 0o755);
  // The folder of the whole run is closed to others.
  if (process.env.TEST_RUN_ID !== undefined) chmodSync(tmpdir(), 0o711);
  writeFileSync(join(folder, 'fw.bin'), 'firmware');
  mkdirSync(join(folder, 'unreadable'), { mode: 0o700 });
  expect((await asRoot('push', 'esp32', '1.0.0', 'fw.bin', '--registry-url', 'oci:registry')).code).toBe(0);
  spawnSync('chmod', ['-R', 'go+rX', join(folder, 'registry'), join(folder, 'fw.bin')]);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const asRoot = (...args: string[]): Promise<Finished> => new Cli(args, {}, folder).finished;

/** The command as a user to whom none of the folders belongs. */
function asOther(...args: string[]): Promise<Finished> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, uid: OTHER, gid: OTHER, env: {} });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => {
    stdout += piece.toString();
    // A server is ended when it has said what is wrong.
    if (stdout.includes('registry.failed')) child.kill();
  });
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  return new Promise((resolve) => {
    child.on('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}

(canBeOther ? describe : describe.skip)('a folder of another user', () => {
  it('cannot be pushed to: the folder and the user are named', async () => {
    const { code, stderr } = await asOther('push', 'esp32', '1.0.1', 'fw.bin', '--registry-url', 'oci:registry');
    expect(stderr).toMatch(
      /^otaflux: cannot write to registry\/esp32\S*: permission denied\. Let user 65534 write to it, for example with chown\n$/,
    );
    expect(code).toBe(1);
    expect((await asOther('push', 'esp32', '1.0.1', 'fw.bin', '--registry-url', 'oci:new')).stderr).toBe(
      'otaflux: cannot write to .: permission denied. Let user 65534 write to it, for example with chown\n',
    );
  });

  it('cannot be deleted from: no file is named that only OtaFlux knows', async () => {
    expect((await asOther('delete', 'esp32', '1.0.0', '--yes', '--registry-url', 'oci:registry')).stderr).toBe(
      'otaflux: cannot write to registry/esp32: permission denied. Let user 65534 write to it, for example with chown\n',
    );
  });

  it('cannot be read: the folder and the user are named, and no repository is invented', async () => {
    const reason = 'cannot read the folder unreadable of --registry-url: permission denied. Let user 65534 read it';
    expect((await asOther('list', 'esp32', '--registry-url', 'oci:unreadable')).stderr).toBe(`otaflux: ${reason}\n`);
    const addresses = ['--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'];
    expect((await asOther('--registry-url', 'oci:unreadable', ...addresses)).stdout).toContain(`"reason":"${reason}"`);
  });

  it('takes no configuration file from init', async () => {
    expect((await asOther('init', '--registry-url', 'oci:registry')).stderr).toBe(
      'otaflux: --output: cannot write "otaflux.yaml": permission denied. Let user 65534 write to it, for example with chown\n',
    );
  });
});

describe('a path that is no folder', () => {
  it('is said to be a file, by every command', async () => {
    const url = ['--registry-url', 'oci:fw.bin'];
    const said = 'otaflux: fw.bin in --registry-url is a file, expected a folder\n';
    expect((await asRoot('push', 'esp32', '1.0.0', 'fw.bin', ...url)).stderr).toBe(said);
    expect((await asRoot('list', 'esp32', ...url)).stderr).toBe(said);
    expect((await asRoot('delete', 'esp32', '1.0.0', '--yes', ...url)).stderr).toBe(said);
    expect((await asRoot('list', 'esp32', '--registry-url', 'oci:fw.bin/inner')).stderr).toBe(said);
  });

  it('init says what to do about a folder that is not there', async () => {
    const output = ['init', '--registry-url', 'oci:registry', '--output'];
    expect((await asRoot(...output, 'nodir/x.yaml')).stderr).toBe(
      'otaflux: --output: cannot write "nodir/x.yaml": no such file or directory. Create its folder first, or check the path\n',
    );
    expect((await asRoot(...output, 'fw.bin/x.yaml')).stderr).toMatch(/a file, not a directory\. Check the path\n$/);
  });
});

it('a device that the folder does not have is named, without a file of the layout', async () => {
  expect((await asRoot('list', 'esp33', '--registry-url', 'oci:registry')).stderr).toBe(
    'otaflux: the folder registry has no repository esp33. Check the device id and --repository-prefix, or push a version with otaflux push\n',
  );
});
