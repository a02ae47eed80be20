import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasProgram, REQUIRED } from '../support/real-server.js';

/** Debian keeps servers where ordinary users do not look. */
const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

/** What a program says against its arguments. Nothing where it is missing, except in CI. */
export function outcomeOf(program: string, args: readonly string[]): string[] {
  if (!hasProgram(program)) return REQUIRED ? [`missing: ${program} (REQUIRE_REAL_SERVERS=1)`] : [];
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, PATH } });
  return status === 0 ? [] : [stdout + stderr];
}

/** Checks a text as a file in a folder of its own. */
export async function inFile<T>(name: string, text: string, check: (path: string, folder: string) => T): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-docs-'));
  const path = join(folder, name);
  writeFileSync(path, text);
  try {
    return await check(path, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
