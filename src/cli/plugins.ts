import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { OwnParts } from '../app.module.js';
import { parseOption, parseSettings, type GivenValues, type Settings } from '../config/index.js';
import { ConfigError, reasonOf } from '../errors.js';
import type { SharedModules } from './plugin-hooks.js';

/** What a plug-in exports by default: its parts, or a function that makes them of the settings. */
export type Plugin = OwnParts | ((context: PluginContext) => OwnParts | Promise<OwnParts>);

export interface PluginContext {
  readonly settings: Settings;
}

const SINGLE = ['registry', 'verifier', 'store'] as const;
const SEVERAL = ['protocols', 'authenticators', 'sources', 'notifiers'] as const;

/** The settings, and the parts that the plug-ins of PLUGIN bring. Rejects with ConfigError. */
export async function withPlugins(given: GivenValues): Promise<{ parts: OwnParts; settings: Settings }> {
  const names = (parseOption('PLUGIN', given) as string[] | undefined) ?? [];
  if (names.length === 0) return { parts: {}, settings: parseSettings(given) };
  register(new URL('./plugin-hooks.js', import.meta.url), { data: sharedModules() });
  // A plug-in that brings the registry leaves REGISTRY_URL without a meaning.
  const provisional = given.REGISTRY_URL ? given : { ...given, REGISTRY_URL: { value: 'oci:.', where: 'PLUGIN' } };
  const settings = parseSettings(provisional);
  const parts: OwnParts = {};
  for (const name of names) merge(parts, await load(name, settings), name);
  if (parts.registry === undefined) return { parts, settings: parseSettings(given) };
  Object.assign(given, provisional);
  return { parts, settings };
}

function sharedModules(): SharedModules {
  const beside = (file: string): string => new URL(file, import.meta.url).href;
  return { otaflux: beside('./door.js'), '@nestjs/common': beside('./nest.js') };
}

async function load(name: string, settings: Settings): Promise<OwnParts> {
  try {
    const { default: plugin } = (await import(locate(name))) as { default?: Plugin };
    if (plugin === undefined) throw new Error('exports nothing by default');
    return typeof plugin === 'function' ? await plugin({ settings }) : plugin;
  } catch (error) {
    throw new ConfigError(`--plugin ${name}: ${reasonOf(error)}`);
  }
}

/** A path from where the command runs, or a package that is installed there. */
function locate(name: string): string {
  const path = resolve(name);
  if (/^\.{0,2}\//.test(name) || existsSync(path)) return pathToFileURL(path).href;
  return pathToFileURL(createRequire(resolve('package.json')).resolve(name)).href;
}

/** Throws ConfigError for what is no part, and for a second one where there can be one only. */
function merge(parts: OwnParts, added: OwnParts, name: string): void {
  const known: readonly string[] = [...SINGLE, ...SEVERAL];
  for (const key of Object.keys(added))
    if (!known.includes(key)) throw new ConfigError(`--plugin ${name}: brings ${key}, takes ${known.join(', ')}`);
  for (const key of SINGLE) {
    if (added[key] === undefined) continue;
    if (parts[key] !== undefined) throw new ConfigError(`--plugin ${name}: brings a second ${key}`);
    Object.assign(parts, { [key]: added[key] });
  }
  for (const key of SEVERAL) Object.assign(parts, { [key]: [...(parts[key] ?? []), ...(added[key] ?? [])] });
}
