import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { satisfies } from 'semver';
import { REQUIRED } from '../support/real-server.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODES = ['20.19.0', '22.12.0', '24.0.0', '26.0.0'];

interface Locked {
  readonly packages: Record<string, { version?: string; engines?: { node?: string }; hasInstallScript?: boolean }>;
}

/** The packed tarball, installed by npm as its users do. */
(REQUIRED ? describe : describe.skip)('npm install of the packed tarball (needs a package registry)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-install-'));
  let tarball = '';

  beforeAll(() => {
    const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
    tarball = join(folder, spawnSync('npm', args, { cwd: ROOT, encoding: 'utf8' }).stdout.trim());
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** Installs `packages` into a new folder; returns its path, and what npm printed. */
  const install = (name: string, packages: string[]): { path: string; printed: string } => {
    const path = join(folder, name);
    mkdirSync(path);
    writeFileSync(join(path, 'package.json'), '{"type":"module"}');
    const { stdout, stderr } = spawnSync('npm', ['install', '--prefer-offline', ...packages], {
      cwd: path,
      encoding: 'utf8',
    });
    return { path, printed: stdout + stderr };
  };
  const lockOf = (path: string): Locked =>
    JSON.parse(readFileSync(join(path, 'node_modules/.package-lock.json'), 'utf8')) as Locked;

  it('has no warning, no install script, and nothing that excludes a Node from 20.19 to 26', () => {
    const { path, printed } = install('alone', [tarball]);
    expect(printed).not.toContain('npm warn');
    const excluded = Object.entries(lockOf(path).packages).filter(
      ([, { engines, hasInstallScript }]) =>
        hasInstallScript === true || NODES.some((node) => !satisfies(node, engines?.node ?? '*')),
    );
    expect(excluded).toEqual([]);
    const command = spawnSync(join(path, 'node_modules/.bin/otaflux'), ['--version'], { encoding: 'utf8' });
    expect(command.stdout.trim()).toBe(
      (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version,
    );
  }, 360_000);
});
