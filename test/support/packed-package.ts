import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { REQUIRED, runProgram } from './real-server.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MODULES = join(ROOT, 'node_modules');

/** The version of a package in this repository. */
export const versionOf = (name: string): string =>
  (JSON.parse(readFileSync(join(MODULES, name, 'package.json'), 'utf8')) as { version: string }).version;

/**
 * A project of a user: an empty folder in which the packed package is installed, with its dependencies and nothing else of
 * this repository's. npm installs it where CI runs; elsewhere the same files are linked, without a network.
 */
export class PackedPackage {
  readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-package-'));
  /** The command, for `node`. */
  readonly main = join(this.folder, 'node_modules/otaflux/dist/main.js');
  readonly tarball: string;

  /** @param others packages that the project depends on itself, in the versions of this repository */
  constructor(others: readonly string[] = []) {
    const packed = runProgram('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', this.folder], ROOT);
    this.tarball = join(this.folder, packed.trim());
    writeFileSync(join(this.folder, 'package.json'), '{"type":"module"}');
    if (REQUIRED) this.install(this.tarball, ...others.map((name) => `${name}@${versionOf(name)}`));
    else this.link(others);
  }

  /** Installs packages by npm, from the network or npm's cache. */
  install(...names: string[]): void {
    runProgram('npm', ['install', '--prefer-offline', ...names], this.folder);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private link(others: readonly string[]): void {
    const installed = join(this.folder, 'node_modules/otaflux');
    mkdirSync(installed, { recursive: true });
    runProgram('tar', ['-xzf', this.tarball, '-C', installed, '--strip-components=1']);
    // npm ls ends with 1 for packages that nobody asked for, too.
    const { stdout } = spawnSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: ROOT, encoding: 'utf8' });
    const names = stdout
      .split('\n')
      .filter((path) => path.startsWith(MODULES + sep))
      .map((path) => path.slice(MODULES.length + 1))
      .filter((name) => !name.includes(`${sep}node_modules${sep}`));
    for (const name of new Set([...names, ...withDependencies(others)]))
      copyTree(join(MODULES, name), join(this.folder, 'node_modules', name));
  }
}

/** `names`, and what they need of the packages at the top of node_modules. */
function withDependencies(names: readonly string[]): Set<string> {
  const all = new Set(names);
  for (const name of all) {
    const manifest = readFileSync(join(MODULES, name, 'package.json'), 'utf8');
    const { dependencies = {} } = JSON.parse(manifest) as { dependencies?: Record<string, string> };
    for (const needed of Object.keys(dependencies)) if (existsSync(join(MODULES, needed))) all.add(needed);
  }
  return all;
}

/** Hard links where the system makes them, because the files are many. */
function copyTree(from: string, to: string): void {
  if (existsSync(to)) return;
  mkdirSync(dirname(to), { recursive: true });
  if (spawnSync('cp', ['-al', from, to], { stdio: 'ignore' }).status === 0) return;
  rmSync(to, { recursive: true, force: true });
  runProgram('cp', ['-R', from, to]);
}
