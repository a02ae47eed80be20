/**
 * Makes dist/bundle of dist (`npm run build`): `otaflux serve` and the libraries that every start needs, in few files.
 * Without it Node spends most of a start on finding and opening some 1,100 files (decision 41). The code stays readable:
 * nothing is shortened or renamed, and a comment above each module names its file.
 *
 * Libraries that only some servers need stay packages: they are loaded from node_modules when they are used.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TARGET = join(ROOT, 'dist', 'bundle');

/** What every start needs; the dependencies of these packages are bundled, too. */
const BUNDLED = [
  ...['@nestjs/common', '@nestjs/config', '@nestjs/core', '@nestjs/platform-express', '@nestjs/terminus'],
  ...[
    'crc',
    'ipaddr.js',
    'p-limit',
    'picomatch',
    'pino',
    'prom-client',
    'proxy-addr',
    'reflect-metadata',
    'rxjs',
    'zod',
  ],
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
  onLog: (level, log) => {
    throw new Error(`${level}: ${log.message}`);
  },
});
const { output } = await bundle.write({
  dir: TARGET,
  format: 'es',
  chunkFileNames: '[name].js',
  // Class names are seen in log lines, in messages of Nest, and in errors.
  keepNames: true,
  // reflect-metadata comes before any class with a decorator.
  strictExecutionOrder: true,
  minify: false,
});
await bundle.close();

/** The licences of the bundled packages ask for their text beside every copy. */
const folders = new Set(output.flatMap(({ moduleIds = [] }) => moduleIds.map(folderOf)).filter(Boolean));
const notices = [...folders].sort().map((folder) => {
  const { name, version, license } = manifestIn(folder);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? '' : `\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  return `${name} ${version} (${license})\n${text}`;
});
writeFileSync(join(TARGET, 'LICENCES.txt'), notices.join(`\n${'-'.repeat(80)}\n\n`));
