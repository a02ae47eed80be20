import { z } from 'zod';

/** Longer messages of units are truncated. */
export const MAX_MESSAGE = 500;
/**
 * So many times a unit comes back running something else after a full download, until the release has failed on it.
 */
export const MAX_RETURNS = 3;
/** Attributes beyond these limits are dropped. */
export const MAX_ATTRIBUTES = 32;
export const MAX_ATTRIBUTE_TEXT = 128;

/** Outcomes of other releases that are known of a unit. The oldest is dropped first. */
export const MAX_EARLIER = 8;

export const OUTCOMES = ['installed', 'failed', 'rejected'] as const satisfies readonly Outcome[];
/** How an update ended, according to its unit. `rejected`: the unit has refused it before it was installed. */
export type Outcome = 'installed' | 'failed' | 'rejected';

const text = z.string().max(256);
const timeMs = z.number().min(0).max(8.64e15);

const offerSchema = z.object({
  version: text,
  digest: text,
  atMs: timeMs,
});

const outcomeSchema = z.object({
  outcome: z.enum(OUTCOMES),
  version: text.optional(),
  digest: text.optional(),
  message: z.string().max(MAX_MESSAGE).optional(),
  atMs: timeMs,
});

const endingSchema = z.object({ version: text.optional(), digest: text.optional(), hasFailed: z.boolean() });

const downloadedSchema = z.object({
  version: text,
  digest: text,
  returns: z.number().int().min(0).max(MAX_RETURNS),
  isPending: z.boolean(),
});

/** Checks what a store on disk or a broker returns. */
export const unitStateSchema: z.ZodType<UnitState> = z.object({
  protocol: text.optional(),
  running: text.optional(),
  hardware: text.optional(),
  firstSeenMs: timeMs,
  lastSeenMs: timeMs,
  offer: offerSchema.optional(),
  outcome: outcomeSchema.optional(),
  earlier: z.array(endingSchema).max(MAX_EARLIER).optional(),
  downloaded: downloadedSchema.optional(),
  attributes: z.record(z.string(), z.string()).optional(),
  notes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  retries: z.number().int().min(0).optional(),
  key: text.optional(),
});

/** An offer to a unit. */
export interface Offered {
  readonly version: string;
  /** Digest of the manifest, so that a moved tag is another offer. */
  readonly digest: string;
  /** On the wall clock, in milliseconds since the epoch. */
  readonly atMs: number;
}

/** The last outcome of a unit. */
export interface LastOutcome {
  readonly outcome: Outcome;
  readonly version?: string | undefined;
  /** Digest of the manifest; undefined if the unit has named a version that it was not offered. */
  readonly digest?: string | undefined;
  readonly message?: string | undefined;
  /** On the wall clock, in milliseconds since the epoch. */
  readonly atMs: number;
}

/** How the update to one release ended, before that of another release did. */
export interface Ending {
  readonly version?: string | undefined;
  /** Digest of the manifest; undefined if it is not known. */
  readonly digest?: string | undefined;
  readonly hasFailed: boolean;
}

/** A release that a unit has downloaded completely, and does not run. */
export interface Downloaded {
  readonly version: string;
  /** Digest of the manifest. */
  readonly digest: string;
  /** How often the unit came back running something else. */
  readonly returns: number;
  /** Whether the unit has downloaded it since it came back last. */
  readonly isPending: boolean;
}

/**
 * What a unit has said of itself, and what it was offered. Nothing of it is verified. Times are on the wall clock, in
 * milliseconds since the epoch.
 */
export interface UnitState {
  /** The protocol of its last request, such as `ddi`. */
  readonly protocol?: string | undefined;
  /** The version that it runs. */
  readonly running?: string | undefined;
  readonly hardware?: string | undefined;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  /** The last offer. */
  readonly offer?: Offered | undefined;
  /** How the last update ended. */
  readonly outcome?: LastOutcome | undefined;
  /** How the updates to other releases ended before, the latest first. At most 8. */
  readonly earlier?: readonly Ending[] | undefined;
  /** The last release that it has downloaded completely, until it runs it. */
  readonly downloaded?: Downloaded | undefined;
  /** Further properties that the unit has sent, such as DDI's configData. At most 32. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  /** What the protocol of the unit has to remember, such as the step of an update. A few short values. */
  readonly notes?: Readonly<Record<string, string | number | boolean>> | undefined;
  /** How often an operator has asked the unit to try a failed release again. */
  readonly retries?: number | undefined;
  /** SHA-256 of the public key that was accepted for the unit (Mender). No other protocol changes it. */
  readonly key?: string | undefined;
}

/** Returns the attributes in `given` that are short enough, at most 32. */
export function boundedAttributes(given: Readonly<Record<string, unknown>>): Record<string, string> {
  const entries = Object.entries(given)
    .filter(([, value]) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    .map(([name, value]): [string, string] => [name, String(value)])
    .filter(([name, value]) => name.length <= MAX_ATTRIBUTE_TEXT && value.length <= MAX_ATTRIBUTE_TEXT);
  return Object.fromEntries(entries.slice(0, MAX_ATTRIBUTES));
}

/** Returns `message` without control characters, and not longer than 500 characters. Undefined if nothing is left. */
export function boundedMessage(message: string | undefined): string | undefined {
  const printable = message?.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return printable ? printable.slice(0, MAX_MESSAGE) : undefined;
}
