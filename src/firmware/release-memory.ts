import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Settings } from '../config/index.js';
import { codeOf, explained } from '../errors.js';
import { recorded, type Answers } from '../registry/index.js';
import type { Release } from './release.js';

/** Larger ones are not kept: a manifest and its signatures are some kilobytes. */
const MAX_BYTES = 1024 * 1024;
/** How often it is noted that what is kept is still current. */
const CONFIRM_MS = 60_000;
const MAX_NOTED = 100_000;
/** So old is no file that a neighbour on the same folder is writing just now. */
const MAX_WRITING_MS = 3_600_000;
/** Of devices that nobody asked for so long nothing is kept. */
const MAX_AGE_MS = 30 * 24 * 3_600_000;

const fileSchema = z.object({
  device: z.string(),
  answers: z.record(z.string(), z.unknown()),
  // Files of earlier versions have no more than these two.
  version: z.string().optional(),
  manifestDigest: z.string().optional(),
  currentSinceMs: z.int().nonnegative().max(8.64e15).optional(),
});

/** What the registry answered when a release was found, and when it last confirmed it. */
export interface Kept {
  readonly answers: Answers;
  /** On the clock of `Date.now()`. */
  readonly confirmedAtMs: number;
  /** The release that was found, and since when it is what is served: `Last-Modified` survives a restart. */
  readonly version: string | undefined;
  readonly manifestDigest: string | undefined;
  readonly currentSince: Date | undefined;
}

/**
 * CACHE_DIR/releases: for each device what the registry answered when its release was found, a file each, so that a start
 * while the registry is away can search again in what it said (decision 23). Without CACHE_DIR nothing is kept.
 */
@Injectable()
export class ReleaseMemory implements OnModuleInit {
  private readonly logger = new Logger('ReleaseMemory');
  private readonly folder: string | undefined;
  private readonly notedAtMs = new Map<string, number>();
  private failing = false;

  constructor({ cacheDir }: Settings) {
    this.folder = cacheDir === undefined ? undefined : join(cacheDir, 'releases');
  }

  /** Removes what an earlier run did not finish, and what is too old to be of use. */
  async onModuleInit(): Promise<void> {
    await this.inFolder(async (folder) => {
      await mkdir(folder, { recursive: true });
      for (const name of await readdir(folder)) {
        const path = join(folder, name);
        const writtenMs = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now();
        const tooOld = Date.now() - writtenMs > (name.endsWith('.tmp') ? MAX_WRITING_MS : MAX_AGE_MS);
        if (tooOld) await rm(path, { force: true });
      }
    });
  }

  /** Runs `search`, and returns what the registry answered it for `keep`; nothing where nothing is kept. */
  async record<T>(search: () => Promise<T>): Promise<{ result: T; answers: Answers }> {
    return this.folder === undefined ? { result: await search(), answers: {} } : recorded(search);
  }

  /** Keeps what the registry answered when `release` was found, in place of what was kept of its device. */
  async keep({ device, version, manifestDigest, currentSince }: Release, answers: Answers): Promise<void> {
    const currentSinceMs = currentSince.getTime();
    const text = JSON.stringify({ device, version, manifestDigest, currentSinceMs, answers });
    if (text.length > MAX_BYTES) return this.forget(device);
    await this.inFolder(async (folder) => {
      await mkdir(folder, { recursive: true });
      const temporary = join(folder, `${randomUUID()}.tmp`);
      try {
        await writeFile(temporary, text, { mode: 0o600 });
        await rename(temporary, join(folder, nameOf(device)));
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => undefined);
        throw error;
      }
      this.note(device, Date.now());
    });
  }

  /** Notes that what is kept of `device` is current now. */
  async confirm(device: string): Promise<void> {
    const now = Date.now();
    if (now - (this.notedAtMs.get(device) ?? -Infinity) < CONFIRM_MS) return;
    this.note(device, now);
    await this.inFolder((folder) => utimes(join(folder, nameOf(device)), now / 1000, now / 1000));
  }

  async forget(device: string): Promise<void> {
    this.notedAtMs.delete(device);
    await this.inFolder((folder) => rm(join(folder, nameOf(device)), { force: true }));
  }

  /** What is kept of `device`; undefined when nothing is, or nothing that can be read, which is logged. */
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

  /** Forgetting all of them costs a touch of each file. */
  private note(device: string, atMs: number): void {
    if (this.notedAtMs.size >= MAX_NOTED) this.notedAtMs.clear();
    this.notedAtMs.set(device, atMs);
  }

  /** A folder that fails is said once, and done without until it works again. */
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

/** Ids have slashes, and may be longer than a file name. */
function nameOf(device: string): string {
  return `${createHash('sha256').update(device).digest('hex')}.json`;
}
