import { added, NOTHING } from '../memory-rollout-ledger.js';
import { recordIn } from '../rollout-keeper.js';
import type { RolloutRecord, Tally } from '../rollout-ledger.js';

const COUNTS = ['offered', 'installed', 'failed'] as const;

/** A change of a record, as the script takes it: the key of the rollout, what is changed, and by what. */
export type RolloutChange = readonly [key: string, name: string, value: number | string];

/** Changes of the records of a product, in order. Counts of one rollout are added up. */
export class RolloutChanges {
  private changes: RolloutChange[] = [];

  get size(): number {
    return this.changes.length;
  }

  count(key: string, change: Partial<Tally>): void {
    for (const name of COUNTS) {
      const by = change[name] ?? 0;
      if (by === 0) continue;
      const index = this.changes.findLastIndex(([of, what]) => of === key && (what === name || what === 'drop'));
      const known = this.changes[index];
      if (known?.[1] === name) this.changes[index] = [key, name, Number(known[2]) + by];
      else this.changes.push([key, name, by]);
    }
  }

  stage(key: string, { index, sinceMs }: NonNullable<RolloutRecord['stage']>): void {
    this.changes.push([key, 'stage', `${index} ${sinceMs}`]);
  }

  halt(key: string, halt: NonNullable<RolloutRecord['halt']>): void {
    this.changes.push([key, 'halt', JSON.stringify(halt)]);
  }

  drop(key: string): void {
    this.changes = this.changes.filter(([of]) => of !== key);
    this.changes.push([key, 'drop', 0]);
  }

  /** Adds what restores a record that Redis has lost. Several replicas may do that. */
  restore(key: string, { tally, stage, halt }: RolloutRecord): void {
    for (const name of COUNTS) if (tally[name] > 0) this.changes.push([key, `least ${name}`, tally[name]]);
    if (stage) this.stage(key, stage);
    if (halt) this.halt(key, halt);
  }

  /** Takes all changes out. */
  takeAll(): readonly RolloutChange[] {
    const taken = this.changes;
    this.changes = [];
    return taken;
  }

  all(): readonly RolloutChange[] {
    return this.changes;
  }
}

/** Returns the records in the fields of Redis, which anybody may have written. */
export function recordsIn(fields: readonly string[]): Map<string, RolloutRecord> {
  const parts = new Map<string, Record<string, string>>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const [field = '', value = ''] = [fields[i], fields[i + 1]];
    const space = field.lastIndexOf(' ');
    const key = field.slice(0, space);
    if (space <= 0 || key.length > 256) continue;
    const known = parts.get(key) ?? {};
    known[field.slice(space + 1)] = value;
    parts.set(key, known);
  }
  const records = new Map<string, RolloutRecord>();
  for (const [key, { offered = '0', installed = '0', failed = '0', stage, halt }] of parts) {
    const [index, sinceMs] = stage?.split(' ').map(Number) ?? [];
    const record = recordIn({
      tally: { offered: Number(offered), installed: Number(installed), failed: Number(failed) },
      ...(stage !== undefined && { stage: { index, sinceMs } }),
      ...(halt !== undefined && { halt: parsed(halt) }),
    });
    // A halt whose words cannot be read is still a halt.
    if (record) records.set(key, record);
    else if (halt !== undefined)
      records.set(key, { tally: NOTHING, stage: undefined, halt: { reason: 'halted by another replica', atMs: 0 } });
  }
  return records;
}

/** Applies changes to records, as the script does. */
export function changedBy(records: Map<string, RolloutRecord>, changes: readonly RolloutChange[]): void {
  for (const [key, name, value] of changes) {
    const record = records.get(key) ?? { tally: NOTHING, stage: undefined, halt: undefined };
    if (name === 'drop') records.delete(key);
    else records.set(key, changed(record, name, value));
  }
}

function changed(record: RolloutRecord, name: string, value: number | string): RolloutRecord {
  if (name === 'halt')
    return record.halt ? record : { ...record, halt: parsed(String(value)) as RolloutRecord['halt'] };
  if (name === 'stage') {
    const [index = 0, sinceMs = 0] = String(value).split(' ').map(Number);
    return record.stage && record.stage.index >= index ? record : { ...record, stage: { index, sinceMs } };
  }
  const count = COUNTS.find((known) => name.endsWith(known));
  if (!count) return record;
  const by = name === count ? Number(value) : Math.max(0, Number(value) - record.tally[count]);
  return { ...record, tally: added(record.tally, { [count]: by }) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
