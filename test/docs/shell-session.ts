import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { expectStop, stopped } from '../support/leftovers.js';
import { until } from '../support/service.js';

/** Longer than any block takes on a busy machine; a build is the slowest. */
const BLOCK_MS = 300_000;

export interface Result {
  readonly status: number;
  readonly output: string;
}

/** One shell of a reader, in which the blocks of a page run one after the other. */
export class ShellSession {
  private readonly shell: ChildProcess;
  /** What the shell wrote behind each block: its status, and the process group that goes on running. */
  private reports = '';
  private count = 0;
  private server: number | undefined;

  /** @param scripts where the blocks and what they print are kept, outside of what the reader sees */
  constructor(
    home: string,
    private readonly scripts: string,
    env: Record<string, string>,
  ) {
    mkdirSync(scripts);
    this.shell = spawn('bash', ['--noprofile', '--norc'], {
      cwd: home,
      env,
      // Its own process group, so that the end of the page ends what its blocks have started.
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    });
    expectStop(this, () => this.end());
    this.shell.stderr?.on('data', (piece: Buffer) => (this.reports += piece.toString()));
    (this.shell.stdio[3] as Readable).on('data', (piece: Buffer) => (this.reports += piece.toString()));
    // Aliases work as in a terminal. A command that fails ends the shell, and so does a variable that nobody has set.
    this.shell.stdin?.write('shopt -s expand_aliases\n');
  }

  /** Runs a block as it is; resolves with its status and what it printed, standard error included. */
  async run(text: string): Promise<Result> {
    const { script, output } = this.write(text);
    this.shell.stdin?.write(
      `set -euo pipefail; . ${script} < /dev/null > ${output} 2>&1; set +euo pipefail; echo "block ${this.count} 0" >&3\n`,
    );
    return { status: await this.status(), output: readFileSync(output, 'utf8') };
  }

  /** Runs a block that fails, in a shell within the shell: the next blocks run none the less. */
  async runFailing(text: string): Promise<Result> {
    const { script, output } = this.write(text);
    this.shell.stdin?.write(
      `(set -euo pipefail; . ${script} < /dev/null > ${output} 2>&1); echo "block ${this.count} $?" >&3\n`,
    );
    return { status: await this.status(), output: readFileSync(output, 'utf8') };
  }

  /**
   * Runs a block whose last command goes on, such as a server; resolves when it has printed `expected`. It runs until the
   * next block of this kind, as if the reader had pressed Ctrl-C, or until the session ends.
   */
  async runUntil(expected: string, text: string): Promise<Result> {
    await this.stopServer();
    const { script, output } = this.write(`${text.trimEnd()} &\n`);
    const read = (): string => (existsSync(output) ? readFileSync(output, 'utf8') : '');
    this.shell.stdin?.write(
      `set -emuo pipefail; . ${script} < /dev/null > ${output} 2>&1; set +emuo pipefail; echo "server $!" >&3; echo "block ${this.count} 0" >&3\n`,
    );
    const status = await this.status();
    const group = Number(/server (\d+)\n(?!.*server)/s.exec(this.reports)?.[1]);
    if (status !== 0) return { status, output: read() };
    this.server = group;
    await until(() => read().includes(expected) || !isAlive(group), `${expected} in ${read()}`, BLOCK_MS);
    return { status: read().includes(expected) ? 0 : 1, output: read() };
  }

  /** Ends the shell and all that it has started. */
  async end(): Promise<void> {
    stopped(this);
    await this.stopServer();
    const { shell } = this;
    kill(shell.pid ?? 0, 'SIGTERM');
    if (shell.exitCode === null && shell.signalCode === null) await once(shell, 'exit');
    await until(() => !isAlive(shell.pid ?? 0), 'the end of what the blocks have started').catch(() => {
      kill(shell.pid ?? 0, 'SIGKILL');
    });
  }

  private write(text: string): { script: string; output: string } {
    this.count++;
    const script = join(this.scripts, `${this.count}.sh`);
    writeFileSync(script, text);
    return { script, output: join(this.scripts, `${this.count}.out`) };
  }

  private async status(): Promise<number> {
    const { shell, count } = this;
    const done = (): string | undefined => new RegExp(`block ${count} (\\d+)\\n`).exec(this.reports)?.[1];
    const ended = (): boolean => shell.exitCode !== null || shell.signalCode !== null;
    await until(() => done() !== undefined || ended(), `the end of the block: ${this.reports}`, BLOCK_MS);
    // A block that says `exit` ends the page, whatever its status.
    return Number(done() ?? Math.max(shell.exitCode ?? 1, 1));
  }

  private async stopServer(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    kill(server, 'SIGTERM');
    await until(() => !isAlive(server), 'the end of the server').catch(() => {
      kill(server, 'SIGKILL');
    });
  }
}

/** Whether a process of the group runs. */
function isAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}

function kill(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // It has ended.
  }
}
