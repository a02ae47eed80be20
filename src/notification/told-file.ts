import { Injectable, Logger } from '@nestjs/common';
import { open, readFile, rename, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { Settings } from '../config/index.js';
import { codeOf, explained } from '../errors.js';
import { demandFolder } from '../usable-folder.js';
import { KeptNotices } from './kept-notices.js';

/** STATE_DIR: the files of notifiers whose receiver keeps nothing. */
@Injectable()
export class StateDirectory {
  private readonly path: string | undefined;

  constructor({ stateDir }: Settings) {
    this.path = stateDir;
  }

  /** Rejects with ConfigError if the folder cannot be created and written to. */
  async demand(): Promise<void> {
    if (this.path !== undefined) await demandFolder('--state-dir', this.path);
  }

  /** Returns the file of `name`, or undefined without STATE_DIR. */
  async open(name: string): Promise<ToldFile | undefined> {
    return this.path === undefined ? undefined : ToldFile.open(this.path, name);
  }
}

/** Number of outdated lines after which a file is written anew. */
const MAX_SURPLUS = 1_000;
const NEWLINE = 0x0a;

const lineSchema = z.tuple([z.string(), z.string()]);

/**
 * The messages that were sent to one receiver, for receivers that keep nothing: one line for each,
 * `["DEVICE","PAYLOAD"]`, appended and synced before it counts. A line that a crash truncated is dropped, so at worst a
 * message is sent twice. The file has one line for each device with a release and up to 1,000 outdated lines. Then it
 * is written anew and renamed.
 */
export class ToldFile {
  private readonly logger = new Logger('ToldFile');
  private file: FileHandle;
  private lines: number;
  private waiting: string[] = [];
  private writing: Promise<void> | undefined;
  private failing = false;

  private constructor(
    private readonly path: string,
    /** The last payload of each device. */
    readonly told: KeptNotices,
    opened: { file: FileHandle; lines: number },
  ) {
    this.file = opened.file;
    this.lines = opened.lines;
  }

  /**
   * Reads `DIRECTORY/told-NAME.jsonl`, and creates it if it does not exist. Rejects with the error of the file system.
   */
  static async open(directory: string, name: string): Promise<ToldFile> {
    const path = join(directory, `told-${name.replaceAll(/[^A-Za-z0-9._-]/g, '_')}.jsonl`);
    const { told, lines, isWhole } = await read(path);
    const toldFile = new ToldFile(path, told, { file: await open(path, 'a'), lines });
    // A line that a crash truncated must not become the beginning of the next line.
    if (!isWhole) await toldFile.writeAnew();
    return toldFile;
  }

  /**
   * Resolves when the line is on the disk. Also resolves if it could not be written, which is logged: the message may
   * then be sent twice.
   */
  async note(device: string, payload: string): Promise<void> {
    this.told.note(device, payload);
    this.waiting.push(`${JSON.stringify([device, payload])}\n`);
    // One sync is enough for all callers that wait for it.
    while (this.waiting.length > 0) await (this.writing ??= this.write());
    await this.writing;
  }

  async close(): Promise<void> {
    await this.writing;
    await this.file.close();
  }

  private async write(): Promise<void> {
    const lines = this.waiting;
    this.waiting = [];
    try {
      await this.file.appendFile(lines.join(''));
      await this.file.sync();
      this.lines += lines.length;
      if (this.lines > this.told.size + MAX_SURPLUS) await this.writeAnew();
      this.failing = false;
    } catch (error) {
      if (!this.failing) this.logger.error({ event: 'state.failed', path: this.path, ...explained(error) });
      this.failing = true;
    } finally {
      this.writing = undefined;
    }
  }

  private async writeAnew(): Promise<void> {
    const beside = `${this.path}.new`;
    const file = await open(beside, 'w');
    try {
      await file.writeFile([...this.told].map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, this.path);
    await syncDirectory(dirname(this.path));
    await this.file.close();
    this.file = await open(this.path, 'a');
    this.lines = this.told.size;
  }
}

async function read(path: string): Promise<{ told: KeptNotices; lines: number; isWhole: boolean }> {
  const told = new KeptNotices();
  const bytes = await readFile(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
  const lines = bytes.toString('utf8').split('\n');
  let isWhole = bytes.length === 0 || bytes.at(-1) === NEWLINE;
  for (const line of lines.filter(Boolean)) {
    const entry = parse(line);
    if (!entry) isWhole = false;
    else told.note(...entry);
  }
  return { told, lines: lines.length - 1, isWhole };
}

function parse(line: string): [string, string] | undefined {
  try {
    return lineSchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** Flushes a directory: a renamed file survives a crash only after that (fsync(2)). */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
