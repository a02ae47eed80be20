import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { OwnParts } from '../app.module.js';
import { parseOption, parseSettings, type GivenValues, type Settings } from '../config/index.js';
import { codeOf, ConfigError, reasonOf } from '../errors.js';
import type { SharedModules } from './plugin-hooks.js';
import { PORTS, problemOfParts } from './plugin-parts.js';

/** The default export of a plug-in: its parts, or a function that returns them for the settings. */
export type Plugin = OwnParts | ((context: PluginContext) => OwnParts | Promise<OwnParts>);

/** The argument of a plug-in that is a function. */
export interface PluginContext {
  readonly settings: Settings;
}

/** Returns the settings, and the parts of all plug-ins in PLUGIN. Rejects with ConfigError. */
export async function withPlugins(given: GivenValues): Promise<{ parts: OwnParts; settings: Settings }> {
  const names = (parseOption('PLUGIN', given) as string[] | undefined) ?? [];
  if (names.length === 0) return { parts: {}, settings: parseSettings(given) };
  register(new URL('./plugin-hooks.js', import.meta.url), { data: sharedModules() });
  // If a plug-in provides the registry, REGISTRY_URL has no effect.
  const provisional = given.REGISTRY_URL ? given : { ...given, REGISTRY_URL: { value: 'oci:.', where: 'PLUGIN' } };
  const settings = parseSettings(provisional);
  const parts: OwnParts = {};
  const owners = new Map<string, string>();
  for (const name of names) merge(parts, await load(name, settings), name, owners);
  if (parts.registry === undefined) return { parts, settings: parseSettings(given) };
  Object.assign(given, provisional);
  return { parts, settings };
}

function sharedModules(): SharedModules {
  const beside = (file: string): string => new URL(file, import.meta.url).href;
  return { otaflux: beside('./door.js'), '@nestjs/common': beside('./nest.js') };
}

async function load(name: string, settings: Settings): Promise<OwnParts> {
  const plugin = await imported(name);
  let parts: OwnParts;
  try {
    parts = typeof plugin === 'function' ? await plugin({ settings }) : plugin;
  } catch (error) {
    throw new ConfigError(`--plugin ${name}: ${reasonOf(error)}`, { cause: error });
  }
  const problem = problemOfParts(parts);
  if (problem !== undefined)
    throw new ConfigError(
      `--plugin ${name}: ${problem}. See https://github.com/otaflux/otaflux/blob/main/docs/extending.md`,
    );
  return parts;
}

async function imported(name: string): Promise<Plugin> {
  const url = locate(name);
  let module: { default?: Plugin };
  try {
    module = (await import(url)) as { default?: Plugin };
  } catch (error) {
    throw new ConfigError(`--plugin ${name}: ${problemOfImport(error, url)}`, { cause: error });
  }
  if (module.default === undefined)
    throw new ConfigError(
      `--plugin ${name}: it has no default export, expected export default { registry, notifiers, … }. See https://github.com/otaflux/otaflux/blob/main/docs/extending.md`,
    );
  return module.default;
}

/**
 * Returns the location of a plug-in: a path from the current directory, or a package that is installed there. Throws
 * ConfigError if it is neither.
 */
function locate(name: string): string {
  const path = resolve(name);
  if (existsSync(path)) return pathToFileURL(path).href;
  if (/^\.{0,2}\//.test(name))
    throw new ConfigError(`--plugin ${name}: there is no file ${path}. Paths start at the current directory`);
  try {
    return pathToFileURL(createRequire(resolve('package.json')).resolve(name)).href;
  } catch (cause) {
    throw new ConfigError(
      `--plugin ${name}: there is no file ${path}, and no package of this name is installed in ${resolve('.')}. Correct the path, or run npm install ${name}`,
      { cause },
    );
  }
}

/** Returns what to do about a module that Node.js does not load. */
function problemOfImport(error: unknown, url: string): string {
  const code = codeOf(error) ?? '';
  const text = reasonOf(error);
  if (
    /\.[cm]?ts$/.test(new URL(url).pathname) &&
    (code === 'ERR_UNKNOWN_FILE_EXTENSION' || code.includes('TYPESCRIPT'))
  )
    return 'Node.js does not run this TypeScript file. Compile it with tsc, and name the .js file';
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION')
    return `Node.js does not run ${extname(new URL(url).pathname)} files, expected .mjs, .js or .cjs`;
  if (code === 'ERR_UNSUPPORTED_DIR_IMPORT') return 'it is a directory, expected a file, such as index.mjs in it';
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND')
    return `${text}. Install what the plug-in imports beside it (npm install)`;
  if (/Unexpected token 'export'|Cannot use import statement/.test(text))
    return 'it is an ES module in a file that Node.js reads as CommonJS. Name it .mjs, or set "type": "module" in its package.json';
  if (/(?:require|module|exports) is not defined in ES module scope/.test(text))
    return 'it is CommonJS in a file that Node.js reads as an ES module. Name it .cjs, or use import and export';
  return text;
}

/** Adds parts. Throws ConfigError for a second one if only one is allowed. */
function merge(parts: OwnParts, added: OwnParts, name: string, owners: Map<string, string>): void {
  for (const key of Object.keys(PORTS) as (keyof OwnParts)[]) {
    const part = added[key];
    if (part === undefined) continue;
    if (PORTS[key].several) {
      Object.assign(parts, { [key]: [...((parts[key] as unknown[] | undefined) ?? []), ...(part as unknown[])] });
      continue;
    }
    const owner = owners.get(key);
    if (owner !== undefined)
      throw new ConfigError(
        `--plugin ${name}: it brings a ${key}, and ${owner} brings one already. Leave one of them out`,
      );
    owners.set(key, name);
    Object.assign(parts, { [key]: part });
  }
}
