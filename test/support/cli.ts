import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expectStop, stopped } from './leftovers.js';
import type { LogLine } from './service.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command as users run it, in a process of its own, with no more of our environment than it needs. */
export class Cli {
  stdout = '';
  stderr = '';
  readonly finished: Promise<Finished>;
  private readonly child: ChildProcess;
  private wake: () => void = () => undefined;

  constructor(args: readonly string[], env: Record<string, string> = {}, cwd?: string) {
    const { PATH = '', HOME = '', TMPDIR, TEST_RUN_ID } = process.env;
    this.child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH, HOME, ...(TMPDIR && { TMPDIR }), ...(TEST_RUN_ID && { TEST_RUN_ID }), ...env },
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expectStop(this, () => this.child.kill('SIGKILL'));
    this.child.stdout?.on('data', (piece: Buffer) => {
      this.stdout += piece.toString();
      this.wake();
    });
    this.child.stderr?.on('data', (piece: Buffer) => (this.stderr += piece.toString()));
    this.finished = new Promise((resolve) => {
      this.child.on('close', (code) => {
        this.wake();
        stopped(this);
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.child.kill(signal);
  }

  /** The first log line of `event`; rejects when the process ends before it. */
  async event(event: string): Promise<LogLine> {
    for (;;) {
      const line = this.stdout
        .split('\n')
        .filter((text) => text.startsWith('{'))
        .flatMap((text) => parse(text))
        .find((candidate) => candidate.event === event);
      if (line) return line;
      if (this.child.exitCode !== null) throw new Error(`ended without ${event}: ${this.stdout}${this.stderr}`);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** The port of the address that the log line `server.ready` names. */
  async port(): Promise<number> {
    return Number(
      String((await this.event('server.ready')).address)
        .split(':')
        .at(-1),
    );
  }
}

/** The last line may be half written. */
function parse(text: string): LogLine[] {
  try {
    return [JSON.parse(text) as LogLine];
  } catch {
    return [];
  }
}

/** Runs the command to its end. */
export function run(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  return new Cli(args, env).finished;
}
