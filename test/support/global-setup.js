import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from '../../scripts/build.mjs';

/**
 * Builds when something has changed: the tests of the command line run what users run. Gives the run an id and a folder for
 * temporary files, which every process that a test starts inherits, and starts the reaper, which ends them all behind it.
 */
export default function globalSetup() {
  build({ ifChanged: true });
  const run = randomUUID();
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-tests-'));
  process.env.TEST_RUN_ID = run;
  process.env.TMPDIR = folder;
  const reaper = spawn(process.execPath, [fileURLToPath(new URL('reaper.mjs', import.meta.url)), run, folder], {
    stdio: ['pipe', 'ignore', 'inherit'],
    // Ctrl-C is for Jest.
    detached: true,
  });
  reaper.unref();
  reaper.stdin.unref();
}
