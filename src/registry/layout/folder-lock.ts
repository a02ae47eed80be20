import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../../errors.js';
import { delay, every } from '../../timers.js';
import { readError, writeError } from './folder-errors.js';

/** A lock that was not renewed for this time belongs to a process that died. */
const STALE_MS = 10_000;
const RENEW_MS = 2_000;
const POLL_MS = 10;

/**
 * A lock between processes: a folder with one file, which has the name of its owner. A process creates such a folder
 * elsewhere and renames it. The system allows that only if there is nothing, or an empty folder, in its place.
 *
 * The lock of a dead process is broken by removing the file of its owner by name. Two processes that break it at the
 * same time remove the same file. Neither can remove the file of a third process that took the lock in between, which
 * would be possible if a lock were one file with one name.
 */
export class FolderLock {
  /** @param staleMs how long a lock stays valid without being renewed */
  constructor(
    private readonly path: string,
    private readonly staleMs = STALE_MS,
  ) {}

  /**
   * Runs `work` while no other process has the lock. `demand` rejects if the lock was lost in between, for example
   * because the machine slept.
   */
  async hold(signal: AbortSignal, work: (demand: () => Promise<void>) => Promise<void>): Promise<void> {
    const owner = randomUUID();
    const mine = join(this.path, owner);
    while (!(await this.take(owner))) await delay(POLL_MS, signal);
    const renewal = every(RENEW_MS, () => {
      renew(mine).catch(() => undefined);
    });
    try {
      await work(async () => {
        await stat(mine).catch((error: unknown) => {
          throw readError(error, mine);
        });
      });
    } finally {
      renewal.stop();
      await this.remove(owner);
    }
  }

  /** Returns whether this process has the lock now. */
  private async take(owner: string): Promise<boolean> {
    if ((await this.owners()).length > 0) return false;
    const beside = `${this.path}.${owner}.tmp`;
    try {
      await mkdir(beside);
      await writeFile(join(beside, owner), '');
      await rename(beside, this.path);
      return true;
    } catch (error) {
      await rm(beside, { recursive: true, force: true });
      if (isTaken(error)) return false;
      throw await writeError(error, dirname(this.path));
    }
  }

  /** Returns the owner of the lock, or nothing. Removes the lock of a dead process. */
  private async owners(): Promise<string[]> {
    try {
      const owners = await readdir(this.path);
      for (const owner of owners) {
        const { mtimeMs } = await stat(join(this.path, owner));
        if (Date.now() - mtimeMs > this.staleMs) await this.remove(owner);
      }
      return owners;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw readError(error, dirname(this.path));
    }
  }

  /** Removes the file of one owner, and the folder if it is empty then. */
  private async remove(owner: string): Promise<void> {
    await unlink(join(this.path, owner)).catch(() => undefined);
    await rmdir(this.path).catch(() => undefined);
  }
}

/** Windows reports EPERM for a rename to a folder that exists. Elsewhere it means that nothing can be created here. */
function isTaken(error: unknown): boolean {
  const code = codeOf(error) ?? '';
  return ['ENOTEMPTY', 'EEXIST'].includes(code) || (code === 'EPERM' && process.platform === 'win32');
}

async function renew(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now);
}
