/**
 * Makes dist/bundle of dist (`npm run build`): the command, the server and the libraries that every start needs, in few
 * files. Nest is among them, so that those who install the command need no Nest. Without the bundle, Node spends most of
 * a start on finding and opening some 1,100 files (decision 41). The code stays readable: nothing is shortened or
 * renamed, and a comment above each module names its file.
 *
 * Libraries that only some servers need stay packages: they are loaded from node_modules when they are used.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TARGET = join(ROOT, 'dist', 'bundle');

/** The commands, the server, and what plug-ins share with it: files of dist/cli, and of dist/bundle by the same names. */
const ENTRIES = ['run', 'serve', 'door', 'nest', 'plugin-hooks'];

/** Modules of dist that commands load late: commands that ask a registry, and what they ask it by. */
const LATE = [
  ...['cli/push.js', 'cli/list.js', 'cli/verify.js', 'cli/delete.js', 'signature/cosign/index.js'],
  ...['registry/distribution/index.js', 'registry/layout/layout-registry.js', 'registry/layout/layout-writer.js'],
];

/**
 * What every start needs; the dependencies of these packages are bundled, too. Not reflect-metadata: an import of a
 * package runs before all code of the bundle, and it must run before the first class with a decorator.
 */
const BUNDLED = [
  ...['@nestjs/common', '@nestjs/config', '@nestjs/core', '@nestjs/microservices', '@nestjs/platform-express'],
  '@nestjs/terminus',
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

/**
 * Nest loads `@nestjs/microservices` at every start if it finds it. In the bundle, it finds it when `--events` is set:
 * `connectEvents` loads it, and puts it where Nest looks for it (decision 54).
 */
const withoutMicroservices = {
  name: 'without-microservices',
  transform(code, id) {
    if (!id.endsWith('@nestjs/core/nest-application.js')) return undefined;
    const lazy = /import\('(@nestjs\/microservices[^']*)'\)/g;
    if (!lazy.test(code)) throw new Error(`${id} loads @nestjs/microservices in another way than before`);
    return code.replaceAll(lazy, "Promise.reject(new Error('$1 is loaded by connectEvents'))");
  },
};

const bundle = await rolldown({
  input: Object.fromEntries(ENTRIES.map((name) => [name, join(ROOT, 'dist', 'cli', `${name}.js`)])),
  platform: 'node',
  plugins: [withoutMicroservices],
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
const { output: draft } = await bundle.generate(options);
/**
 * One file holds what every command needs, one what the commands that ask a registry share with the server, and one what
 * else the server needs at every start. The rest is loaded by need.
 */
const forCommands = earlyModules(draft, ['run.js', fileOf(draft, 'cli/control.js')]);
const forServing = earlyModules(draft, ['serve.js', 'door.js', 'nest.js']);
const late = earlyModules(
  draft,
  LATE.map((name) => fileOf(draft, name)),
);
rmSync(TARGET, { recursive: true, force: true });
const { output } = await bundle.write({
  ...options,
  codeSplitting: {
    groups: [
      { name: 'command', priority: 3, test: (id) => forCommands.has(id) },
      {
        name: 'shared',
        priority: 2,
        test: (id) => late.has(id) && (forServing.has(id) || (isOfServer(id) && bringsNoPackage(id))),
      },
      { name: 'service', priority: 1, test: (id) => forServing.has(id) },
    ],
  },
});
await bundle.close();

/** What commands share among each other stays by itself: one of them may need little else. */
function isOfServer(id) {
  return !id.startsWith(join(ROOT, 'dist', 'cli'));
}

/** Whether a module is in a file that brings no package: rolldown would put it into the file of the server otherwise. */
function bringsNoPackage(id) {
  const chunk = draft.find(({ moduleIds = [] }) => moduleIds.includes(id));
  const isLate = LATE.some((name) => chunk.moduleIds.includes(join(ROOT, 'dist', name)));
  return !isLate && chunk.imports.every((name) => isBuiltin(name) || draft.some(({ fileName }) => fileName === name));
}

/** The file that holds the module `name` of dist, which is loaded when it is used. */
function fileOf(chunks, name) {
  const id = join(ROOT, 'dist', name);
  return chunks.find(({ moduleIds = [] }) => moduleIds.includes(id)).fileName;
}

/** The ids of the modules in `entries` and in what they import statically. */
function earlyModules(chunks, entries) {
  const byFile = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const files = new Set(entries);
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
