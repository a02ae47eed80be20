import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';

const PRELOAD = fileURLToPath(new URL('preload-clock.mjs', import.meta.url));

/** Moves the wall clocks of servers in other processes, all by the same time. */
export class MovedClock {
  movedMs = 0;
  private readonly paths = new Set<string>();

  /** Returns the variables for a server whose clock is moved over the socket at `path`. */
  variables(path: string): Record<string, string> {
    rmSync(path, { force: true });
    this.paths.add(path);
    return { NODE_OPTIONS: `--import=${PRELOAD}`, TEST_CLOCK: path, TEST_CLOCK_MOVED: String(this.movedMs) };
  }

  /** Forgets a server that has ended. */
  ended(path: string): void {
    this.paths.delete(path);
  }

  /** The time that the servers see. */
  nowMs(): number {
    return Date.now() + this.movedMs;
  }

  /** Resolves when all servers see the new time. */
  async advance(ms: number): Promise<void> {
    this.movedMs += ms;
    await Promise.all([...this.paths].map((path) => moved(path, this.movedMs)));
  }
}

function moved(path: string, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(`${ms}\n`));
    socket.once('error', reject);
    socket.once('data', () => {
      socket.destroy();
      resolve();
    });
  });
}
