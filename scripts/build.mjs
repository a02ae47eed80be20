/**
 * Compiles `src` to `dist` and bundles the server (`npm run build`). With `--if-changed`, does nothing when `dist` is what the sources give.
 * A stamp in node_modules/.cache says so: the digest of everything that goes in, and size and time of every file that came out.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Read by the compiler and the bundler beside the sources. */
const CONFIGURATION = [
  ...['tsconfig.json', 'tsconfig.build.json', 'package.json', 'package-lock.json'],
  'scripts/bundle.mjs',
];
/** Made by scripts/bundle.mjs, not by the compiler. */
const BUNDLE = `bundle${sep}`;

const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();

/** The digest of all that decides what is built. */
function digestOfInputs(root) {
  const sources = filesIn(join(root, 'src')).filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts'));
  const hash = createHash('sha256');
  for (const path of [...CONFIGURATION.map((name) => join(root, name)), ...sources]) {
    const content = readFileSync(path);
    hash.update(`${relative(root, path).replaceAll(sep, '/')}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

const lookOf = (path) => {
  const { size, mtimeMs } = statSync(path);
  return `${size} ${mtimeMs}`;
};

/** What the last build wrote down, or nothing when `dist` is not as it left it. */
function stampOf(root, path) {
  try {
    const stamp = JSON.parse(readFileSync(path, 'utf8'));
    return Object.entries(stamp.outputs).every(([name, look]) => lookOf(join(root, name)) === look) ? stamp : undefined;
  } catch {
    // Never built, or a file is missing.
    return undefined;
  }
}

/** Removes what a source that is no longer there gave. */
function removeOrphans(root, dist) {
  for (const path of filesIn(dist)) {
    if (relative(dist, path).startsWith(BUNDLE)) continue;
    const source = join(root, 'src', relative(dist, path).replace(/(\.js|\.js\.map|\.d\.ts)$/, '.ts'));
    if (!existsSync(source)) rmSync(path);
  }
}

/** Builds the repository in `root`; returns whether there was anything to do. Throws when the compiler finds errors. */
export function build({ root = ROOT, ifChanged = false } = {}) {
  const cache = join(root, 'node_modules/.cache/otaflux');
  const stampPath = join(cache, 'build.json');
  const memory = join(cache, 'build.tsbuildinfo');
  const dist = join(root, 'dist');
  const inputs = digestOfInputs(root);
  const stamp = ifChanged ? stampOf(root, stampPath) : undefined;
  if (stamp?.inputs === inputs) return false;
  console.error('Building dist …');
  rmSync(stampPath, { force: true });
  // The compiler writes only what has changed, when all that it wrote before is still there.
  if (!stamp) for (const path of [memory, dist]) rmSync(path, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const args = ['-p', 'tsconfig.build.json', '--incremental', '--tsBuildInfoFile', memory];
  const { status } = spawnSync(process.execPath, [compiler, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error('the build failed');
  removeOrphans(root, dist);
  const bundling = spawnSync(process.execPath, [join(root, 'scripts/bundle.mjs')], { cwd: root, stdio: 'inherit' });
  if (bundling.status !== 0) throw new Error('the bundle failed');
  const outputs = Object.fromEntries(filesIn(dist).map((path) => [relative(root, path), lookOf(path)]));
  writeFileSync(stampPath, JSON.stringify({ inputs, outputs }));
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    build({ ifChanged: process.argv.includes('--if-changed') });
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
