import { unitStateSchema, type UnitState } from '../unit-state.js';

/** So many replicas are known that wrote last. One that writes again after a failure finds out whether it had written. */
const MAX_WRITERS = 4;

/** What Redis has of a unit: its state, and the numbers of the last writes of the replicas that wrote last. */
export interface StoredUnit {
  readonly state: UnitState | undefined;
  readonly writes: ReadonlyMap<string, number>;
}

/** Returns the text for Redis: the state, and that `replica` has made its write `number`. */
export function textOf(state: UnitState, before: string, replica: string, number: number): string {
  const writes = [...writesIn(before)].filter(([other]) => other !== replica).slice(1 - MAX_WRITERS);
  return JSON.stringify({ ...state, writes: [...writes, [replica, number]] });
}

/** Returns the state in a text of Redis, undefined for ''. Throws for anything else that is not one. */
export function stateIn(text: string): UnitState | undefined {
  return text === '' ? undefined : unitStateSchema.parse(JSON.parse(text));
}

/** Returns the numbers of the last writes by replica. */
export function writesIn(text: string): Map<string, number> {
  try {
    const { writes } = JSON.parse(text) as { writes?: unknown };
    if (!Array.isArray(writes)) return new Map();
    const pairs = writes.filter(
      (pair): pair is [string, number] =>
        Array.isArray(pair) && typeof pair[0] === 'string' && pair[0].length <= 64 && Number.isSafeInteger(pair[1]),
    );
    return new Map(pairs.slice(-MAX_WRITERS));
  } catch {
    return new Map();
  }
}
