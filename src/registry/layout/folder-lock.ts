import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../errors.js';
import { delay, every } from '../../timers.js';
import { fileError } from './layout-files.js';

/** A lock that was not renewed for so long was left by a process that died. */
const STALE_MS = 10_000;
const RENEW_MS = 2_000;
const POLL_MS = 10;

/**
 * A lock between processes: a folder that holds one file, named after its owner. Whoever wants it makes such a folder
 * elsewhere and renames it, which the system lets happen only while nothing, or an empty folder, is in its place.
 *
 * A lock that was left behind is broken by removing the file of its owner by its name. Two that break it at once remove
 * the same file, and neither can remove the file of a third that took the lock meanwhile, as they could if a lock were one
 * file with one name.
 */
export class FolderLock {
  /** @param staleMs how long a lock may stay without being renewed */
  constructor(
    private readonly path: string,
    private readonly staleMs = STALE_MS,
  ) {}

  /** Runs `work` while nobody else has the lock. `demand` rejects when it was lost meanwhile, as to a machine that slept. */
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
          throw fileError(error, mine);
        });
      });
    } finally {
      renewal.stop();
      await this.remove(owner);
    }
  }

  /** Whether the lock is ours now. */
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
      if (['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(codeOf(error) ?? '')) return false;
      throw fileError(error, this.path);
    }
  }

  /** Whose lock it is: one or none. One that was left behind is removed. */
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
      throw fileError(error, this.path);
    }
  }

  /** Removes one owner's file, and the folder when it is empty then. */
  private async remove(owner: string): Promise<void> {
    await unlink(join(this.path, owner)).catch(() => undefined);
    await rmdir(this.path).catch(() => undefined);
  }
}

async function renew(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now);
}
