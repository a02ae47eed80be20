import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { createRequire, isBuiltin, register } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { OwnParts } from '../app.module.js';
import { parseOption, parseSettings, type GivenValues, type Settings } from '../config/index.js';
import { ConfigError, reasonOf } from '../errors.js';
import { NamedParts } from './named-parts.js';
import type { SharedModules } from './plugin-hooks.js';
import { problemOfImport } from './plugin-import.js';
import { PORTS, problemOfParts } from './plugin-parts.js';

/** The default export of a plug-in: its parts, or a function that returns them for the settings. */
export type Plugin = OwnParts | ((context: PluginContext) => OwnParts | Promise<OwnParts>);

/** The argument of a plug-in that is a function. */
export interface PluginContext {
  readonly settings: Settings;
}

const SEE = 'See https://github.com/otaflux/otaflux/blob/main/docs/extending.md';

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
  const named = new NamedParts();
  for (const name of names) merge(parts, await load(name, settings, named), name, owners);
  if (parts.registry === undefined) return { parts, settings: parseSettings(given) };
  Object.assign(given, provisional);
  return { parts, settings };
}

function sharedModules(): SharedModules {
  const beside = (file: string): string => new URL(file, import.meta.url).href;
  return { otaflux: beside('./door.js'), '@nestjs/common': beside('./nest.js') };
}

async function load(name: string, settings: Settings, named: NamedParts): Promise<OwnParts> {
  const plugin = await imported(name);
  if (isClass(plugin))
    throw new ConfigError(
      `--plugin ${name}: its default export is a class, expected an object with parts, such as export default { notifiers: [Mine] }. ${SEE}`,
    );
  let parts: OwnParts;
  try {
    parts = typeof plugin === 'function' ? await plugin({ settings }) : plugin;
  } catch (error) {
    throw new ConfigError(`--plugin ${name}: ${reasonOf(error)}`, { cause: error });
  }
  const problem = problemOfParts(parts);
  if (problem !== undefined) throw new ConfigError(`--plugin ${name}: ${problem}. ${SEE}`);
  return named.of(name, parts);
}

/** A class is a function that cannot be called. */
function isClass(plugin: Plugin): boolean {
  return typeof plugin === 'function' && /^class\b/.test(Function.prototype.toString.call(plugin));
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
      `--plugin ${name}: it has no default export, expected export default { registry, notifiers, … }. ${SEE}`,
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
  if (isBuiltin(name))
    throw new ConfigError(
      `--plugin ${name}: this is a module of Node.js, expected the path of a plug-in, such as ./${name.replace(/^node:/, '')}.mjs, or the name of a package`,
    );
  try {
    return pathToFileURL(createRequire(resolve('package.json')).resolve(name)).href;
  } catch (cause) {
    throw new ConfigError(
      `--plugin ${name}: there is no file ${path}, and no package of this name is installed in ${resolve('.')}. Correct the path, or run npm install ${name}`,
      { cause },
    );
  }
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
