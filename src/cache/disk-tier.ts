import { randomUUID } from 'node:crypto';
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../errors.js';
import { BoundedEntries, type Entry } from './bounded-entries.js';
import { OwnedFolder } from './owned-folder.js';
import { sameStamp, stampAt, StoredFile, type Stamp } from './stored-file.js';
import { makeFolder } from '../folders.js';

export interface DiskEntry extends Entry {
  /** The stamp of the file when this process read and hashed it, or wrote it. Undefined before that. */
  verified: Stamp | undefined;
  /**
   * Whether this process has marked the file as used. Once is enough: after each mark, other processes hash the file
   * again.
   */
  marked: boolean;
}

/** Prefix of the folders for unfinished files, one for each process. */
const INCOMING = 'incoming-';
/** If another machine has not written to its unfinished files for this time, they are removed. */
const UNUSED_MS = 3_600_000;

/** A file that is being written under a temporary name. */
export interface DiskWriter {
  write(piece: Buffer): Promise<void>;
  /** Flushes the file to the disk and gives it its final name. */
  commit(sha256: string, sizeBytes: number): Promise<void>;
  abandon(): Promise<void>;
}

/**
 * Firmware in content-addressed files, `DIR/sha256/HEX`. Other processes may use the same folder: a file gets its name
 * when it is complete, and is checked before each use, because another process may have removed or changed it. Every
 * method may reject or throw with the error of the file system.
 */
export class DiskTier {
  readonly entries: BoundedEntries<DiskEntry>;
  private readonly folder: string;
  private incoming: Promise<OwnedFolder> | undefined;

  /**
   * @param onFailure called if the file system fails in the background
   * @param onLost called if a file is missing, or is not as this process left it
   */
  constructor(
    private readonly root: string,
    maxBytes: number,
    private readonly onFailure: (error: unknown) => void,
    private readonly onLost: (path: string, reason: 'removed' | 'changed') => void,
  ) {
    this.folder = join(root, 'sha256');
    this.entries = new BoundedEntries<DiskEntry>(Number.MAX_SAFE_INTEGER, maxBytes, (key, { verified }) => {
      this.removeFile(key, verified).catch(this.onFailure);
    });
  }

  path(sha256: string): string {
    return join(this.folder, sha256);
  }

  /** Loads the entries of an earlier run, oldest first, and removes unfinished files. */
  async load(): Promise<void> {
    await makeFolder(this.folder);
    await OwnedFolder.removeDead(this.root, INCOMING, UNUSED_MS);
    const found: { name: string; sizeBytes: number; usedMs: number }[] = [];
    for (const name of await readdir(this.folder)) {
      // Earlier versions wrote unfinished files into the same folder.
      if (name.endsWith('.tmp')) await rm(join(this.folder, name), { force: true });
      else if (/^[a-f0-9]{64}$/.test(name)) {
        const stats = await stat(this.path(name)).catch(unlessMissing);
        if (stats) found.push({ name, sizeBytes: stats.size, usedMs: stats.mtimeMs });
      }
    }
    found.sort((a, b) => a.usedMs - b.usedMs);
    for (const { name, sizeBytes } of found)
      this.entries.add(name, { sizeBytes, verified: undefined, marked: false, leases: 0, heldUntilMs: 0 });
  }

  async create(): Promise<DiskWriter> {
    await makeFolder(this.folder);
    const { temporary, handle } = await this.begin();
    return {
      write: async (piece) => {
        await handle.appendFile(piece);
      },
      commit: async (sha256, sizeBytes) => {
        await handle.sync();
        await handle.close();
        await rename(temporary, this.path(sha256));
        await syncFolder(this.folder);
        const verified = stampAt(this.path(sha256));
        this.entries.add(sha256, { sizeBytes, verified, marked: true, leases: 0, heldUntilMs: 0 });
      },
      abandon: async () => {
        await closeQuietly(handle);
        await rm(temporary, { force: true }).catch(this.onFailure);
      },
    };
  }

  /**
   * Returns whether the file of `sha256` was verified and has not changed since. Costs one system call, reads no
   * content.
   */
  isIntact(sha256: string): boolean {
    const entry = this.entries.peek(sha256);
    if (!entry?.verified) return false;
    const stamp = stampAt(this.path(sha256));
    if (stamp && sameStamp(stamp, entry.verified)) return true;
    this.lost(sha256, entry, stamp);
    return false;
  }

  /** Returns the file of `sha256` if it was verified and has not changed since. Release it after use. */
  open(sha256: string): StoredFile | undefined {
    const entry = this.entries.use(sha256);
    if (!entry?.verified) return undefined;
    const file = this.openFile(sha256, entry);
    const stamp = file?.stamp();
    if (file && stamp && sameStamp(stamp, entry.verified)) return file;
    file?.release();
    this.lost(sha256, entry, stamp);
    return undefined;
  }

  /** Returns the file of `sha256` to read and hash it, or undefined if it does not exist. Release it after use. */
  openUnverified(sha256: string): StoredFile | undefined {
    const entry = this.entries.use(sha256);
    if (!entry) return undefined;
    const file = this.openFile(sha256, entry);
    if (!file) this.lost(sha256, entry, undefined);
    return file;
  }

  /**
   * Drops the entry, and deletes the file if it still has `stamp`: another process may have replaced it with a good
   * one.
   */
  async drop(sha256: string, stamp: Stamp): Promise<void> {
    this.entries.remove(sha256);
    await this.removeFile(sha256, stamp);
  }

  /** Removes unfinished files. */
  async close(): Promise<void> {
    const incoming = await this.incoming?.catch(() => undefined);
    this.incoming = undefined;
    await incoming?.remove().catch(this.onFailure);
  }

  private openFile(sha256: string, entry: DiskEntry): StoredFile | undefined {
    try {
      return new StoredFile(this.path(sha256), () => {
        // Whatever the error is, the file is read and hashed again before its next use.
        entry.verified = undefined;
      });
    } catch (error) {
      unlessMissing(error);
      return;
    }
  }

  private lost(sha256: string, entry: DiskEntry, stamp: Stamp | undefined): void {
    this.onLost(this.path(sha256), stamp ? 'changed' : 'removed');
    entry.verified = undefined;
    if (!stamp) this.entries.remove(sha256);
  }

  /** Creates a file in the folder of this process. Creates the folder if it does not exist, or no longer. */
  private async begin(): Promise<{ temporary: string; handle: FileHandle }> {
    for (let tries = 0; ; tries++) {
      this.incoming ??= OwnedFolder.create(this.root, INCOMING);
      const incoming = this.incoming;
      try {
        const temporary = join((await incoming).path, randomUUID());
        return { temporary, handle: await open(temporary, 'wx') };
      } catch (error) {
        if (this.incoming === incoming) this.incoming = undefined;
        if (codeOf(error) !== 'ENOENT' || tries > 0) throw error;
        await (await incoming.catch(() => undefined))?.remove();
      }
    }
  }

  /** Removes a file, unless it no longer has `stamp`. */
  private async removeFile(sha256: string, stamp: Stamp | undefined): Promise<void> {
    const path = this.path(sha256);
    const now = stampAt(path);
    if (now && (!stamp || sameStamp(now, stamp))) await rm(path, { force: true });
  }
}

function unlessMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
  return undefined;
}

async function closeQuietly(handle: FileHandle): Promise<void> {
  await handle.close().catch(() => undefined);
}

/** Makes a rename durable by flushing the folder. Not every file system allows that. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().catch(() => undefined);
  await handle.close();
}
