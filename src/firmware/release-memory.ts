import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { codeOf, explained } from '../errors.js';
import { recorded, type Answers } from '../registry/index.js';
import type { Release } from './release.js';
import { makeFolder } from '../folders.js';

/** Larger files are not written. A manifest and its signatures have a few kilobytes. */
const MAX_BYTES = 1024 * 1024;
/** How often a file is marked as still current. */
const CONFIRM_MS = 60_000;
const MAX_NOTED = 100_000;
/** A file that is older than this is not being written by another process. */
const MAX_WRITING_MS = 3_600_000;
/** Files of devices without requests for this time are removed. */
const MAX_AGE_MS = 30 * 24 * 3_600_000;

const fileSchema = z.object({
  device: z.string(),
  answers: z.record(z.string(), z.unknown()),
  // Files of earlier versions have only these two fields.
  version: z.string().optional(),
  manifestDigest: z.string().optional(),
  currentSinceMs: z.int().nonnegative().max(8.64e15).optional(),
});

/** The answers of the registry in the search for a release, and when it was last confirmed. */
export interface Kept {
  readonly answers: Answers;
  /** In milliseconds since the epoch. */
  readonly confirmedAtMs: number;
  /** The release that was found, and since when it has been current: `Last-Modified` survives a restart. */
  readonly version: string | undefined;
  readonly manifestDigest: string | undefined;
  readonly currentSince: Date | undefined;
}

/**
 * CACHE_DIR/releases: a file for each device with the answers of the registry in the search for its release. If the
 * server starts while the registry cannot be reached, it repeats the search with these answers (decision 23). Without
 * CACHE_DIR, nothing is stored.
 */
@Injectable()
export class ReleaseMemory implements OnModuleInit {
  private readonly logger = new Logger('ReleaseMemory');
  private readonly folder: string | undefined;
  private readonly notedAtMs = new Map<string, number>();
  private failing = false;

  constructor(
    { cacheDir }: Settings,
    private readonly clock: Clock,
  ) {
    this.folder = cacheDir === undefined ? undefined : join(cacheDir, 'releases');
  }

  /** Removes unfinished files of an earlier run, and files that are too old. */
  async onModuleInit(): Promise<void> {
    await this.inFolder(async (folder) => {
      await makeFolder(folder);
      for (const name of await readdir(folder)) {
        const path = join(folder, name);
        const writtenMs = (await stat(path).catch(() => undefined))?.mtimeMs ?? this.clock.nowMs();
        const tooOld = this.clock.nowMs() - writtenMs > (name.endsWith('.tmp') ? MAX_WRITING_MS : MAX_AGE_MS);
        if (tooOld) await rm(path, { force: true });
      }
    });
  }

  /**
   * Runs `search`. Returns its result and the answers of the registry, for `keep`. The answers are empty if nothing is
   * stored.
   */
  async record<T>(search: () => Promise<T>): Promise<{ result: T; answers: Answers }> {
    return this.folder === undefined ? { result: await search(), answers: {} } : recorded(search);
  }

  /** Stores the answers of the registry in the search for `release`. Replaces the stored answers of its device. */
  async keep({ device, version, manifestDigest, currentSince }: Release, answers: Answers): Promise<void> {
    const currentSinceMs = currentSince.getTime();
    const text = JSON.stringify({ device, version, manifestDigest, currentSinceMs, answers });
    if (text.length > MAX_BYTES) return this.forget(device);
    await this.inFolder(async (folder) => {
      await makeFolder(folder);
      const temporary = join(folder, `${randomUUID()}.tmp`);
      try {
        await writeFile(temporary, text, { mode: 0o600 });
        await rename(temporary, join(folder, nameOf(device)));
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => undefined);
        throw error;
      }
      this.note(device, this.clock.nowMs());
    });
  }

  /** Marks the stored answers of `device` as current. */
  async confirm(device: string): Promise<void> {
    const now = this.clock.nowMs();
    if (now - (this.notedAtMs.get(device) ?? -Infinity) < CONFIRM_MS) return;
    this.note(device, now);
    await this.inFolder((folder) => utimes(join(folder, nameOf(device)), now / 1000, now / 1000));
  }

  async forget(device: string): Promise<void> {
    this.notedAtMs.delete(device);
    await this.inFolder((folder) => rm(join(folder, nameOf(device)), { force: true }));
  }

  /**
   * Returns the stored answers of `device`. Returns undefined if there are none, or if they cannot be read, which is
   * logged.
   */
  async recall(device: string): Promise<Kept | undefined> {
    return this.inFolder(async (folder) => {
      const path = join(folder, nameOf(device));
      const { mtimeMs: confirmedAtMs, size } = await stat(path);
      if (size > MAX_BYTES)
        throw new Error(`${path} has ${size} bytes, expected at most ${MAX_BYTES}. Delete the file`);
      const kept = fileSchema.parse(JSON.parse(await readFile(path, 'utf8')));
      if (kept.device !== device) throw new Error(`${path} is about another device. Delete the file`);
      this.note(device, confirmedAtMs);
      const { answers, version, manifestDigest, currentSinceMs } = kept;
      const currentSince = currentSinceMs === undefined ? undefined : new Date(currentSinceMs);
      return { answers, confirmedAtMs, version, manifestDigest, currentSince };
    });
  }

  /** If all entries are forgotten, the only effect is that each file is marked once more. */
  private note(device: string, atMs: number): void {
    if (this.notedAtMs.size >= MAX_NOTED) this.notedAtMs.clear();
    this.notedAtMs.set(device, atMs);
  }

  /**
   * Runs `work` in the folder. A failure is logged once, and the service works without the folder until it works again.
   */
  private async inFolder<T>(work: (folder: string) => Promise<T>): Promise<T | undefined> {
    if (this.folder === undefined) return undefined;
    try {
      const result = await work(this.folder);
      this.failing = false;
      return result;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      if (!this.failing) this.logger.warn({ event: 'release.memory_failed', ...explained(error) });
      this.failing = true;
      return undefined;
    }
  }
}

/** Returns the file name of a device. Ids contain slashes, and may be longer than a file name. */
function nameOf(device: string): string {
  return `${createHash('sha256').update(device).digest('hex')}.json`;
}
