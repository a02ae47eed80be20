import { Logger } from '@nestjs/common';
import type { Database } from 'lmdb';
import { explained } from '../../errors.js';
import { recordIn, type RolloutKeeper } from '../rollout-keeper.js';
import type { RolloutRecord } from '../rollout-ledger.js';

export type RolloutKey = [product: string, key: string];

/**
 * Keeps the records beside the units: a change is on disk with the next commit, which takes a few milliseconds. A halt is on
 * disk at once, so that no kill takes it back.
 */
export class LmdbRolloutKeeper implements RolloutKeeper {
  private readonly logger = new Logger('RolloutLedger');
  /** Rollouts whose halt is on disk. Units go on to report after it, and not each of them may wait for the disk. */
  private readonly halted = new Set<string>();
  private writing: Promise<unknown> = Promise.resolve();
  private closed = false;
  private failing = false;

  constructor(private readonly table: Database<unknown, RolloutKey>) {}

  *read(): Iterable<readonly [product: string, key: string, record: RolloutRecord]> {
    for (const { key, value } of this.table.getRange()) {
      const record = recordIn(value);
      if (record) {
        if (record.halt) this.halted.add(idOf(...key));
        yield [key[0], key[1], record];
      } else this.logger.warn({ event: 'rollouts.unreadable', device: key[0], rollout: key[1] });
    }
  }

  changed(product: string, key: string, record: RolloutRecord | undefined): void {
    // LMDB ends the process if it is used afterwards.
    if (this.closed) return;
    const id = idOf(product, key);
    if (!record?.halt) this.halted.delete(id);
    else if (!this.halted.has(id) && this.writeNow(product, key, record)) this.halted.add(id);
    // Also after that: an older record may wait for the next commit.
    const written = record ? this.table.put([product, key], record) : this.table.remove([product, key]);
    this.writing = written.then(
      () => (this.failing = false),
      (error: unknown) => {
        this.failed(error);
      },
    );
  }

  private writeNow(product: string, key: string, record: RolloutRecord): boolean {
    try {
      this.table.putSync([product, key], record);
      return true;
    } catch (error) {
      this.failed(error);
      return false;
    }
  }

  private failed(error: unknown): void {
    if (!this.failing) this.logger.error({ event: 'rollouts.store_failed', ...explained(error) });
    this.failing = true;
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.writing;
  }
}

const idOf = (product: string, key: string): string => `${product}\0${key}`;
