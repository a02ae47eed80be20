import type { ListedUnit, UnitCounts } from '../fleet/index.js';

/** One unit in the response of `GET /units`. Times are in ISO 8601. */
export interface UnitStatus {
  readonly unit: string;
  readonly protocol: string | null;
  /** The version that it runs, as it says. */
  readonly running: string | null;
  readonly hardware: string | null;
  readonly firstSeen: string;
  readonly lastSeen: string;
  /** The last version that it was offered. */
  readonly offered: { readonly version: string; readonly digest: string; readonly at: string } | null;
  readonly outcome: {
    readonly outcome: string;
    readonly version: string | null;
    readonly message: string | null;
    readonly at: string;
  } | null;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The response of `GET /units`. */
export interface UnitsPage {
  readonly product: string;
  /** Number of all units of the product, and of those that run each version. */
  readonly total: number;
  readonly byVersion: Readonly<Record<string, number>>;
  readonly units: readonly UnitStatus[];
  /** The value of `after` for the next page; null if this is the last one. */
  readonly next: string | null;
}

const COLUMNS = [
  'unit',
  'running',
  'hardware',
  'lastSeen',
  'offered',
  'outcome',
  'outcomeVersion',
  'message',
  'protocol',
  'firstSeen',
] as const;

/** Returns a unit as the response shows it. */
export function shown({ unit, ...state }: ListedUnit): UnitStatus {
  const { protocol, running, hardware, firstSeenMs, lastSeenMs, offer, outcome, attributes } = state;
  return {
    unit,
    protocol: protocol ?? null,
    running: running ?? null,
    hardware: hardware ?? null,
    firstSeen: iso(firstSeenMs),
    lastSeen: iso(lastSeenMs),
    offered: offer ? { version: offer.version, digest: offer.digest, at: iso(offer.atMs) } : null,
    outcome: outcome
      ? {
          outcome: outcome.outcome,
          version: outcome.version ?? null,
          message: outcome.message ?? null,
          at: iso(outcome.atMs),
        }
      : null,
    attributes: attributes ?? {},
  };
}

/** Returns a page of units. There may be another one if it is full. */
export function pageOf(product: string, counts: UnitCounts, listed: readonly ListedUnit[], limit: number): UnitsPage {
  return {
    product,
    total: counts.units,
    byVersion: Object.fromEntries([...counts.byVersion].sort(([, a], [, b]) => b - a)),
    units: listed.map(shown),
    next: listed.length === limit ? (listed.at(-1)?.unit ?? null) : null,
  };
}

/** Returns units as CSV (RFC 4180), with a line of column names if `withHead`. */
export function csvOf(units: readonly UnitStatus[], withHead: boolean): string {
  const lines = units.map((one) =>
    [
      one.unit,
      one.running,
      one.hardware,
      one.lastSeen,
      one.offered?.version,
      one.outcome?.outcome,
      one.outcome?.version,
      one.outcome?.message,
      one.protocol,
      one.firstSeen,
    ]
      .map(cell)
      .join(','),
  );
  return [...(withHead ? [COLUMNS.join(',')] : []), ...lines].map((line) => `${line}\r\n`).join('');
}

/** Units may send any text: a cell that a spreadsheet would run as a formula gets a quote in front. */
function cell(value: string | null | undefined): string {
  const text = value ?? '';
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A store may hold a time that no date can be. */
function iso(ms: number): string {
  return new Date(ms).toISOString();
}
