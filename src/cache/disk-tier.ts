import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { BoundedEntries, type Entry } from './bounded-entries.js';

interface DiskEntry extends Entry {
  /** False for a file of an earlier run until its bytes were read and hashed. */
  verified: boolean;
}

/** A file that is being written under a temporary name. */
export interface DiskWriter {
  write(piece: Buffer): Promise<void>;
  /** Makes it last and gives it its name. */
  commit(sha256: string, sizeBytes: number): Promise<void>;
  abandon(): Promise<void>;
}

/** Firmware as content-addressed files, `DIR/sha256/HEX`. Every method may reject with what the file system says. */
export class DiskTier {
  readonly entries: BoundedEntries<DiskEntry>;
  private readonly folder: string;

  constructor(
    root: string,
    maxBytes: number,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.folder = join(root, 'sha256');
    this.entries = new BoundedEntries<DiskEntry>(Number.MAX_SAFE_INTEGER, maxBytes, (key) => {
      rm(this.path(key), { force: true }).catch(this.onFailure);
    });
  }

  path(sha256: string): string {
    return join(this.folder, sha256);
  }

  /** Takes up what an earlier run left, oldest first, and removes what it did not finish. */
  async load(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const found: { name: string; sizeBytes: number; usedMs: number }[] = [];
    for (const name of await readdir(this.folder)) {
      if (name.endsWith('.tmp')) await rm(join(this.folder, name), { force: true });
      else if (/^[a-f0-9]{64}$/.test(name)) {
        const { size, mtimeMs } = await stat(this.path(name));
        found.push({ name, sizeBytes: size, usedMs: mtimeMs });
      }
    }
    found.sort((a, b) => a.usedMs - b.usedMs);
    for (const { name, sizeBytes } of found)
      this.entries.add(name, { sizeBytes, verified: false, leases: 0, heldUntilMs: 0 });
  }

  async create(): Promise<DiskWriter> {
    await mkdir(this.folder, { recursive: true });
    const temporary = join(this.folder, `${randomUUID()}.tmp`);
    const handle = await open(temporary, 'wx');
    return {
      write: async (piece) => {
        await handle.appendFile(piece);
      },
      commit: async (sha256, sizeBytes) => {
        await handle.sync();
        await handle.close();
        await rename(temporary, this.path(sha256));
        await syncFolder(this.folder);
        this.entries.add(sha256, { sizeBytes, verified: true, leases: 0, heldUntilMs: 0 });
      },
      abandon: async () => {
        await closeQuietly(handle);
        await rm(temporary, { force: true }).catch(this.onFailure);
      },
    };
  }

  /** The bytes from `start` to `end`, both included. */
  read(sha256: string, start: number, end: number): Readable {
    return createReadStream(this.path(sha256), { start, end });
  }

  /** Says that a file was used, so that the next run drops it later than others. */
  touch(sha256: string): void {
    const now = new Date();
    utimes(this.path(sha256), now, now).catch(() => undefined);
  }

  async drop(sha256: string): Promise<void> {
    this.entries.remove(sha256);
    await rm(this.path(sha256), { force: true });
  }
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
