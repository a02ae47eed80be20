import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const TOOLS = fileURLToPath(new URL('../../tools/node_modules/', import.meta.url));

/** Whether the packages of tools/ are installed, which a plain `npm ci` leaves out. */
export const hasTools = existsSync(TOOLS);
export const NO_TOOLS = 'the packages of tools/ are not installed: run npm ci --prefix tools';

/** Runs a program of tools/, and returns its status and, when it failed, what it printed. */
export function runTool(
  program: string,
  args: readonly string[],
  cwd?: string,
): { status: number | null; output: string } {
  if (!hasTools) throw new Error(NO_TOOLS);
  const { status, stdout, stderr } = spawnSync(join(TOOLS, '.bin', program), args, { cwd, encoding: 'utf8' });
  return { status, output: status === 0 ? '' : stdout + stderr };
}

/** Imports a module of a package of tools/ by its path, such as `testcontainers/build/index.js`. */
export async function importTool<T>(path: string): Promise<T> {
  if (!hasTools) throw new Error(NO_TOOLS);
  return (await import(pathToFileURL(join(TOOLS, path)).href)) as T;
}
