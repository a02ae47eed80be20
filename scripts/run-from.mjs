/**
 * `node scripts/run-from.mjs FOLDER PROGRAM ARGUMENTS…`: runs a program of the packages of `tools` or `docs`, which a plain
 * `npm ci` does not install.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const [folder, program, ...args] = process.argv.slice(2);
const path = fileURLToPath(new URL(`../${folder}/node_modules/.bin/${program}`, import.meta.url));
if (existsSync(path)) {
  const { status } = spawnSync(path, args, { stdio: 'inherit', shell: process.platform === 'win32' });
  process.exitCode = status ?? 1;
} else {
  console.error(`${program} is not installed. Run: npm ci --prefix ${folder}`);
  process.exitCode = 1;
}
