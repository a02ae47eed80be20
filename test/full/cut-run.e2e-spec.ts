import { expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expectStop, stopped } from '../support/leftovers.js';
import { until } from '../support/service.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];

interface Started {
  readonly pids: number[];
  readonly folder: string;
}

/** Whether a process runs: one that has ended and that nobody has waited for, does not. */
const runs = (pid: number): boolean =>
  existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

const readIfThere = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');

// The reaper finds processes by /proc.
(existsSync('/proc/self/environ') ? it : it.skip).each(['SIGINT', 'SIGKILL'] as const)(
  'a run of the tests that is ended by %s leaves no process and no file behind',
  async (signal) => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-cut-run-'));
    const file = join(folder, 'started.json');
    const run = spawn(
      process.execPath,
      [...JEST, '--config', 'test/support/cut-run/jest.config.js', '--maxWorkers=2'],
      {
        cwd: ROOT,
        env: { ...process.env, CUT_RUN_FILE: file },
        stdio: 'ignore',
      },
    );
    expectStop(run, () => run.kill('SIGKILL'));
    run.once('exit', () => {
      stopped(run);
    });
    await until(() => readIfThere(file).endsWith('}'), 'the servers of the run', 300_000);
    const started = JSON.parse(readFileSync(file, 'utf8')) as Started;
    expect(started.pids.filter((pid) => !runs(pid))).toEqual([]);
    run.kill(signal);
    await until(() => !started.pids.some(runs) && !existsSync(started.folder), 'the end of all', 300_000);
    rmSync(folder, { recursive: true });
  },
  600_000,
);
