import { Logger } from '@nestjs/common';
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf, explained } from '../errors.js';
import { after, type Timer } from '../timers.js';
import { recordIn, type RolloutKeeper } from './rollout-keeper.js';
import type { RolloutRecord } from './rollout-ledger.js';

const FILE = 'rollouts.json';
/** The file is written at most once in this time. */
const WRITE_MS = 1_000;

const entrySchema = z.tuple([z.string().min(1).max(255), z.string().min(1).max(256), z.unknown()]);

type Entry = readonly [product: string, key: string, record: RolloutRecord];

/**
 * Keeps the records in one file of CACHE_DIR, which is replaced as a whole. Nothing in it is trusted. A halt is on disk at
 * once, so that no kill takes it back.
 */
export class FileRolloutKeeper implements RolloutKeeper {
  private readonly logger = new Logger('RolloutLedger');
  private readonly entries = new Map<string, Entry>();
  private timer: Timer | undefined;
  private writing: Promise<void> = Promise.resolve();
  private failing = false;
  /** Number of halts that were written at once. */
  private halts = 0;

  private constructor(
    private readonly path: string,
    entries: readonly Entry[],
  ) {
    for (const entry of entries) this.entries.set(idOf(entry), entry);
  }

  /** Reads the file in `directory`. A file that cannot be read counts as empty, and is replaced. */
  static async open(directory: string): Promise<FileRolloutKeeper> {
    const path = join(directory, FILE);
    return new FileRolloutKeeper(path, await entriesIn(path));
  }

  read(): Iterable<Entry> {
    return [...this.entries.values()];
  }

  changed(product: string, key: string, record: RolloutRecord | undefined): void {
    const id = idOf([product, key]);
    const isHalt = record?.halt !== undefined && this.entries.get(id)?.[2].halt === undefined;
    if (record) this.entries.set(id, [product, key, record]);
    else this.entries.delete(id);
    if (isHalt) this.writeNow();
    this.timer ??= after(WRITE_MS, () => void this.write());
  }

  async close(): Promise<void> {
    if (this.timer) await this.write();
    await this.writing;
  }

  private async write(): Promise<void> {
    this.timer?.stop();
    this.timer = undefined;
    this.writing = this.writing.then(() => this.replace());
    await this.writing;
  }

  private async replace(): Promise<void> {
    const beside = `${this.path}.new`;
    const { halts } = this;
    try {
      const file = await open(beside, 'w');
      try {
        await file.writeFile(this.content());
        await file.sync();
      } finally {
        await file.close();
      }
      // The file has a halt by now that this content lacks. It is written again, because the halt has set the timer.
      if (halts !== this.halts) return;
      await rename(beside, this.path);
      this.failing = false;
    } catch (error) {
      this.failed(error);
    }
  }

  private writeNow(): void {
    this.halts++;
    const beside = `${this.path}.halt`;
    try {
      const file = openSync(beside, 'w');
      try {
        writeFileSync(file, this.content());
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(beside, this.path);
    } catch (error) {
      this.failed(error);
    }
  }

  private content(): string {
    return `[\n${[...this.entries.values()].map((entry) => JSON.stringify(entry)).join(',\n')}\n]\n`;
  }

  private failed(error: unknown): void {
    if (!this.failing) this.logger.error({ event: 'rollouts.store_failed', path: this.path, ...explained(error) });
    this.failing = true;
  }
}

async function entriesIn(path: string): Promise<Entry[]> {
  const logger = new Logger('RolloutLedger');
  try {
    const entries = z.array(z.unknown()).parse(JSON.parse(await readFile(path, 'utf8')));
    const known = entries.flatMap((entry) => entryIn(entry) ?? []);
    if (known.length < entries.length)
      logger.warn({ event: 'rollouts.unreadable', path, entries: entries.length - known.length });
    return known;
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') logger.warn({ event: 'rollouts.unreadable', path, ...explained(error) });
    return [];
  }
}

function entryIn(value: unknown): Entry[] | undefined {
  const [product, key, content] = entrySchema.safeParse(value).data ?? [];
  const record = recordIn(content);
  return product !== undefined && key !== undefined && record ? [[product, key, record]] : undefined;
}

/** A product contains no NUL. */
function idOf([product, key]: readonly [product: string, key: string, ...rest: unknown[]]): string {
  return `${product}\0${key}`;
}
