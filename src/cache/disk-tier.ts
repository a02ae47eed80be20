import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../errors.js';
import { BoundedEntries, type Entry } from './bounded-entries.js';
import { OwnedFolder } from './owned-folder.js';
import { sameStamp, stampAt, StoredFile, type Stamp } from './stored-file.js';

export interface DiskEntry extends Entry {
  /** The file whose bytes were read and hashed, or written, by this process; undefined until they were. */
  verified: Stamp | undefined;
  /** Whether this process has marked the file as used. Once is enough: each mark makes its neighbours hash it again. */
  marked: boolean;
}

/** What a process has begun to write in the folder, each in a folder of its own. */
const INCOMING = 'incoming-';
/** So long a neighbour on another machine may write nothing before what it has begun is removed. */
const UNUSED_MS = 3_600_000;

/** A file that is being written under a temporary name. */
export interface DiskWriter {
  write(piece: Buffer): Promise<void>;
  /** Makes it last and gives it its name. */
  commit(sha256: string, sizeBytes: number): Promise<void>;
  abandon(): Promise<void>;
}

/**
 * Firmware as content-addressed files, `DIR/sha256/HEX`. Other processes may use the same folder: what is written gets its
 * name only when it is whole, and a file is looked at before each use, since anybody may have removed or changed it.
 * Every method may reject or throw with what the file system says.
 */
export class DiskTier {
  readonly entries: BoundedEntries<DiskEntry>;
  private readonly folder: string;
  private incoming: Promise<OwnedFolder> | undefined;

  /**
   * @param onFailure told when the file system fails behind the caller's back
   * @param onLost told when a file is not what this process left there
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

  /** Takes up what an earlier run left, oldest first, and removes what it did not finish. */
  async load(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await OwnedFolder.removeDead(this.root, INCOMING, UNUSED_MS);
    const found: { name: string; sizeBytes: number; usedMs: number }[] = [];
    for (const name of await readdir(this.folder)) {
      // Earlier versions wrote beside what is whole.
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
    await mkdir(this.folder, { recursive: true });
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

  /** Whether the file of `sha256` was verified and is as it was then; a system call, no read. */
  isIntact(sha256: string): boolean {
    const entry = this.entries.peek(sha256);
    if (!entry?.verified) return false;
    const stamp = stampAt(this.path(sha256));
    if (stamp && sameStamp(stamp, entry.verified)) return true;
    this.lost(sha256, entry, stamp);
    return false;
  }

  /** The file of `sha256`, when it was verified and is as it was then; to be released. */
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

  /** The file of `sha256`, to be read and hashed; to be released. Undefined when it is not there. */
  openUnverified(sha256: string): StoredFile | undefined {
    const entry = this.entries.use(sha256);
    if (!entry) return undefined;
    const file = this.openFile(sha256, entry);
    if (!file) this.lost(sha256, entry, undefined);
    return file;
  }

  /** Drops the entry, and the file when it is still that of `stamp`: a neighbour may have put a good one in its place. */
  async drop(sha256: string, stamp: Stamp): Promise<void> {
    this.entries.remove(sha256);
    await this.removeFile(sha256, stamp);
  }

  /** Removes what was begun and not finished. */
  async close(): Promise<void> {
    const incoming = await this.incoming?.catch(() => undefined);
    this.incoming = undefined;
    await incoming?.remove().catch(this.onFailure);
  }

  private openFile(sha256: string, entry: DiskEntry): StoredFile | undefined {
    try {
      return new StoredFile(this.path(sha256), () => {
        // Whatever is wrong with it: before its next use it is read and hashed anew.
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

  /** A new file in this process's own folder, which is made when there is none, or no longer. */
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

  /** Removes a file unless it is another one by now than that of `stamp`. */
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

/** A rename lasts only when the folder is synced, too. Not every file system allows it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().catch(() => undefined);
  await handle.close();
}
