import { z } from 'zod';
import type { RolloutRecord } from './rollout-ledger.js';

/** Keeps the records of a ledger across restarts. */
export interface RolloutKeeper {
  /** Returns what was kept. What cannot be read is left out. */
  read(): Iterable<readonly [product: string, key: string, record: RolloutRecord]>;
  /** Notes a changed record, or one that was dropped. Never throws: a failure is logged. */
  changed(product: string, key: string, record: RolloutRecord | undefined): void;
  /** Writes what is left. Never rejects. */
  close(): Promise<void>;
}

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const timeMs = z.number().min(-8.64e15).max(8.64e15);

const recordSchema = z.object({
  tally: z.object({ offered: count, installed: count, failed: count }),
  stage: z.object({ index: z.number().int().min(0).max(1_000), sinceMs: timeMs }).optional(),
  halt: z.object({ reason: z.string().max(500), atMs: timeMs }).optional(),
});

/** Returns the record in what was kept, or undefined for something else. */
export function recordIn(value: unknown): RolloutRecord | undefined {
  const { data } = recordSchema.safeParse(value);
  return data && { tally: data.tally, stage: data.stage, halt: data.halt };
}
