import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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
    for (const name of closureOf(['.', ...others]))
      copyTree(join(MODULES, name), join(this.folder, 'node_modules', name));
  }
}

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
  readonly peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

/** What npm installs for packages, themselves included; `.` is this repository. What npm nests lies within a package. */
function closureOf(packages: readonly string[]): string[] {
  const names = new Set(packages);
  for (const name of names) {
    const path = join(name === '.' ? ROOT : join(MODULES, name), 'package.json');
    if (!existsSync(path)) continue;
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    const peers = Object.keys(manifest.peerDependencies ?? {}).filter(
      (peer) => manifest.peerDependenciesMeta?.[peer]?.optional !== true,
    );
    for (const needed of [...Object.keys(manifest.dependencies ?? {}), ...peers]) names.add(needed);
  }
  return [...names].filter((name) => name !== '.' && existsSync(join(MODULES, name)));
}

/** Hard links where the system makes them, because the files are many. */
function copyTree(from: string, to: string): void {
  if (existsSync(to)) return;
  mkdirSync(dirname(to), { recursive: true });
  if (spawnSync('cp', ['-al', from, to], { stdio: 'ignore' }).status === 0) return;
  rmSync(to, { recursive: true, force: true });
  runProgram('cp', ['-R', from, to]);
}
