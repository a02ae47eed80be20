import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import { codeOf, explained } from '../errors.js';
import type { Answers } from '../registry/index.js';
import type { SeenPlan } from './plan-finder.js';
import type { Release } from './release.js';
import { makeFolder } from '../folders.js';

/** Larger files are not written. A manifest and its signatures have a few kilobytes, a plan at most 350. */
const MAX_BYTES = 4 * 1024 * 1024;
/** How often a file is marked as still current. */
const CONFIRM_MS = 60_000;
const MAX_NOTED = 100_000;
/** A file that is older than this is not being written by another process. */
const MAX_WRITING_MS = 3_600_000;
/** Files of devices without requests for this time are removed. */
const MAX_AGE_MS = 30 * 24 * 3_600_000;

const answersSchema = z.record(z.string(), z.unknown());
const fileSchema = z.object({
  device: z.string(),
  answers: answersSchema,
  // Only of products that have, or had, a plan.
  parts: z.record(z.string(), answersSchema).optional(),
  plan: z.object({ serial: z.int().nonnegative(), digest: z.string() }).optional(),
  // Files of earlier versions have only these two fields.
  version: z.string().optional(),
  manifestDigest: z.string().optional(),
  currentSinceMs: z.int().nonnegative().max(8.64e15).optional(),
});

/** What is stored of a product. */
export interface ToKeep {
  readonly device: string;
  /** The answers of the registry in the search for its release. */
  readonly answers: Answers;
  /** The answers about the plan and about each version of interest, if there is a plan. */
  readonly parts?: Readonly<Record<string, Answers>> | undefined;
  /** The highest serial of a plan that was seen. It is also stored if the plan, or the release, is no longer there. */
  readonly plan?: SeenPlan | undefined;
  readonly release?: Pick<Release, 'version' | 'manifestDigest' | 'currentSince'> | undefined;
}

/** The answers of the registry in the search for a release, and when it was last confirmed. */
export interface Kept {
  readonly answers: Answers;
  readonly parts: Readonly<Record<string, Answers>> | undefined;
  readonly plan: SeenPlan | undefined;
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

  /** Whether anything is stored. */
  get isOn(): boolean {
    return this.folder !== undefined;
  }

  /** Stores what is known of a product. Replaces what was stored before. */
  async keep({ device, answers, parts, plan, release }: ToKeep): Promise<void> {
    const { version, manifestDigest, currentSince } = release ?? {};
    const currentSinceMs = currentSince?.getTime();
    const text = JSON.stringify({ device, version, manifestDigest, currentSinceMs, plan, answers, parts });
    if (text.length > MAX_BYTES) return this.forget(device, plan);
    await this.write(device, text);
  }

  /** Marks the stored answers of `device` as current. */
  async confirm(device: string): Promise<void> {
    const now = this.clock.nowMs();
    if (now - (this.notedAtMs.get(device) ?? -Infinity) < CONFIRM_MS) return;
    this.note(device, now);
    await this.inFolder((folder) => utimes(join(folder, nameOf(device)), now / 1000, now / 1000));
  }

  /**
   * Drops the stored answers of `device`.
   *
   * @param plan what stays stored: an old plan must not be taken again
   */
  async forget(device: string, plan?: SeenPlan): Promise<void> {
    this.notedAtMs.delete(device);
    if (plan) await this.write(device, JSON.stringify({ device, plan, answers: {} }));
    else await this.inFolder((folder) => rm(join(folder, nameOf(device)), { force: true }));
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
      const { answers, parts, plan, version, manifestDigest, currentSinceMs } = kept;
      const currentSince = currentSinceMs === undefined ? undefined : new Date(currentSinceMs);
      return { answers, parts, plan, confirmedAtMs, version, manifestDigest, currentSince };
    });
  }

  private async write(device: string, text: string): Promise<void> {
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
