/**
 * Makes dist/bundle of dist (`npm run build`): `otaflux serve` and the libraries that every start needs, in few files.
 * Without it Node spends most of a start on finding and opening some 1,100 files (decision 41). The code stays readable:
 * nothing is shortened or renamed, and a comment above each module names its file.
 *
 * Libraries that only some servers need stay packages: they are loaded from node_modules when they are used.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TARGET = join(ROOT, 'dist', 'bundle');

/**
 * What every start needs; the dependencies of these packages are bundled, too. Not reflect-metadata: an import of a
 * package runs before all code of the bundle, and it must run before the first class with a decorator.
 */
const BUNDLED = [
  ...['@nestjs/common', '@nestjs/config', '@nestjs/core', '@nestjs/platform-express', '@nestjs/terminus'],
  ...['crc', 'ipaddr.js', 'p-limit', 'picomatch', 'pino', 'prom-client', 'proxy-addr', 'rxjs', 'zod'],
];

const manifestIn = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const folderOf = (path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0];

/** Whether the bundle leaves `specifier` to Node, for the module `importer`. */
function isExternal(specifier, importer) {
  if (importer === undefined || /^(?:\.{0,2}\/|node:)/.test(specifier)) return false;
  const [name] = /^(?:@[^/]+\/)?[^/]+/.exec(specifier);
  const folder = folderOf(importer);
  if (BUNDLED.includes(name) || folder === undefined) return !BUNDLED.includes(name);
  // Optional peers of a library are tried by `require` when it runs.
  const manifest = manifestIn(folder);
  return manifest.name !== name && !(name in (manifest.dependencies ?? {}));
}

const bundle = await rolldown({
  input: { serve: join(ROOT, 'dist', 'cli', 'serve.js') },
  platform: 'node',
  external: isExternal,
  // A module of ours that is loaded early though it was meant to be loaded late, a package that is not found, and the like.
  onLog: (level, log) => {
    if (log.code === 'INEFFECTIVE_DYNAMIC_IMPORT' && log.message.includes('] node_modules/')) return;
    throw new Error(`${level}: ${log.message}`);
  },
});
/** @type {import('rolldown').OutputOptions} */
const options = {
  dir: TARGET,
  format: 'es',
  chunkFileNames: '[name].js',
  minify: false,
  minifyInternalExports: false,
  comments: { jsdoc: false },
  // Class names are seen in log lines, in messages of Nest, and in errors.
  keepNames: true,
};
/** Modules that are loaded in any case go into one file; each group of those that are loaded late, into a file of its own. */
const early = earlyModules((await bundle.generate(options)).output);
rmSync(TARGET, { recursive: true, force: true });
const { output } = await bundle.write({
  ...options,
  codeSplitting: { groups: [{ name: 'service', test: (id) => early.has(id) }] },
});
await bundle.close();

/** The ids of the modules that the entry imports, and what those import, statically. */
function earlyModules(chunks) {
  const byFile = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const files = new Set(['serve.js']);
  for (const file of files) for (const imported of byFile.get(file)?.imports ?? []) files.add(imported);
  return new Set([...files].flatMap((file) => byFile.get(file)?.moduleIds ?? []));
}

/** The licences of the bundled packages ask for their text beside every copy. */
const folders = new Set(output.flatMap(({ moduleIds = [] }) => moduleIds.map(folderOf)).filter(Boolean));
const notices = [...folders].sort().map((folder) => {
  const { name, version, license } = manifestIn(folder);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? '' : `\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  return `${name} ${version} (${license})\n${text}`;
});
writeFileSync(join(TARGET, 'LICENCES.txt'), notices.join(`\n${'-'.repeat(80)}\n\n`));
