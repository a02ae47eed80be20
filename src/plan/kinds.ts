import { createRequire } from 'node:module';
import type * as Semver from 'semver';
import { parseVersion } from '../semver.js';
import type { Range, Rate } from './plan.js';
import { isZone } from './zones.js';

/** A scalar of a plan: how its text is read, and what people and editors are told. */
export interface Kind<T> {
  /** Completes `expected …`. */
  readonly expected: string;
  /** JSON Schema (draft 7), for editors. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Returns undefined for text of another kind. */
  read(text: string): T | undefined;
}

const SECOND = 1_000;
const DURATIONS: Readonly<Record<string, number>> = {
  s: SECOND,
  m: 60 * SECOND,
  h: 3_600 * SECOND,
  d: 86_400 * SECOND,
  w: 604_800 * SECOND,
};
/** A longer stage is a mistake. */
const MAX_DURATION_MS = 366 * 86_400 * SECOND;
const MAX_NUMBER = 1_000_000_000;

/** The library of ranges, loaded with the first plan: the start must not wait for it. */
let semver: typeof Semver | undefined;
/** Ranges that are shared by all plans, up to 10 KB each with their answers. */
const MAX_RANGES = 1_000;
/** Reading a range takes longer than its length; nobody needs a longer one. */
const MAX_RANGE = 256;
const RANGE_CHARACTERS = /^[\w\s.*+<>=^~|-]+$/;

export const serial: Kind<number> = {
  expected: 'a whole number from 1, such as 14',
  schema: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
  read: (text) => wholeNumber(text, 1, Number.MAX_SAFE_INTEGER),
};

export const count: Kind<number> = {
  expected: 'a whole number from 1, such as 20',
  schema: { type: 'integer', minimum: 1, maximum: MAX_NUMBER },
  read: (text) => wholeNumber(text, 1, MAX_NUMBER),
};

export const flag: Kind<boolean> = {
  expected: 'true or false',
  schema: { type: 'boolean' },
  read: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
};

/** Milliseconds since the epoch. */
export const time: Kind<number> = {
  expected: 'a time with its zone, such as 2026-11-25T08:00:00Z',
  schema: {
    type: 'string',
    pattern: '^\\d{4}-\\d{2}-\\d{2}[Tt ]\\d{2}:\\d{2}(:\\d{2}(\\.\\d+)?)?([Zz]|[+-]\\d{2}:\\d{2})$',
  },
  read: readTime,
};

/** `Infinity` for `false`, `-Infinity` for `true`. */
export const pause: Kind<number> = {
  expected: 'true, false, or a time with its zone, such as 2026-11-25T08:00:00Z',
  schema: { anyOf: [flag.schema, time.schema] },
  read: (text) => (text === 'true' ? -Infinity : text === 'false' ? Infinity : readTime(text)),
};

/** 0 to 100. */
export const percent: Kind<number> = {
  expected: 'a percentage above 0, up to 100, such as 10',
  schema: {
    anyOf: [
      { type: 'number', exclusiveMinimum: 0, maximum: 100 },
      { type: 'string', pattern: '^\\d{1,3}(\\.\\d{1,6})?%$' },
    ],
  },
  read(text) {
    if (!/^\d{1,3}(?:\.\d{1,6})?%?$/.test(text)) return undefined;
    const value = Number.parseFloat(text);
    return value > 0 && value <= 100 ? value : undefined;
  },
};

/** 0 to 1. A number without `%` might mean either. */
export const share: Kind<number> = {
  expected: 'a percentage from 0% to 100%, such as 5%',
  schema: { type: 'string', pattern: '^\\d{1,3}(\\.\\d{1,6})?%$' },
  read(text) {
    if (!/^\d{1,3}(?:\.\d{1,6})?%$/.test(text)) return undefined;
    const value = Number.parseFloat(text);
    return value <= 100 ? value / 100 : undefined;
  },
};

/** Milliseconds. */
export const duration: Kind<number> = {
  expected: 'a duration of at most 366 days, such as 30m, 1d, 2h30m or 1w',
  schema: { type: 'string', pattern: '^(\\d{1,9}(\\.\\d{1,6})?[smhdw])+$' },
  read(text) {
    if (text.length > 100 || !/^(?:\d{1,9}(?:\.\d{1,6})?[smhdw])+$/.test(text)) return undefined;
    let total = 0;
    for (const [, amount, unit] of text.matchAll(/([\d.]+)([smhdw])/g))
      total += Number(amount) * (DURATIONS[unit ?? ''] ?? NaN);
    return total <= MAX_DURATION_MS ? Math.round(total) : undefined;
  },
};

export const rate: Kind<Rate> = {
  expected: 'a number of offers per second, minute, hour or day, such as 20/m or 500/h',
  schema: { type: 'string', pattern: '^[1-9]\\d{0,8}/[smhd]$' },
  read(text) {
    const [, offers, unit] = /^([1-9]\d{0,8})\/([smhd])$/.exec(text) ?? [];
    return offers === undefined ? undefined : { offers: Number(offers), perMs: DURATIONS[unit ?? ''] ?? NaN };
  },
};

/** Minutes after midnight. */
export const clockTime: Kind<number> = {
  expected: 'a time of the day from "00:00" to "23:59"',
  schema: { type: 'string', pattern: '^([01]?\\d|2[0-3]):[0-5]\\d$' },
  read(text) {
    const [, hours, minutes] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
    return hours === undefined ? undefined : Number(hours) * 60 + Number(minutes);
  },
};

export const zone: Kind<string> = {
  expected: 'an IANA time zone such as Europe/Berlin or UTC',
  schema: { type: 'string', minLength: 1 },
  read: (text) => (isZone(text) ? text : undefined),
};

/** Without `v`, and with `+` before its build. */
export const version: Kind<string> = {
  expected: 'a version such as 1.5.0',
  schema: { type: 'string', pattern: '^v?\\d+\\.\\d+\\.\\d+([-+_][0-9A-Za-z._+-]+)?$' },
  read: (text) => (text.length > 200 ? undefined : plainVersion(text)),
};

export const name: Kind<string> = {
  expected: 'a name of letters, digits, dashes, dots and underscores, up to 64 characters',
  schema: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' },
  read: (text) => (/^[A-Za-z0-9][\w.-]{0,63}$/.test(text) ? text : undefined),
};

export const glob: Kind<string> = {
  expected: 'text or a glob such as "lab-*", up to 128 characters',
  schema: { type: 'string', minLength: 1, maxLength: 128 },
  read: (text) => (text.length > 0 && text.length <= 128 ? text : undefined),
};

export const product: Kind<string> = {
  expected: 'a device id such as esp32',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
  read: (text) => (text.length > 0 && text.length <= 255 ? text : undefined),
};

export const range = rangeKind(false);
/** Pre-releases are in the range if they lie between its bounds. */
export const rangeWithPrereleases = rangeKind(true);

/** What is wrong with a value that should be of a kind. */
export function mismatch(input: unknown, expected: string): string {
  if (input === undefined) return `it is missing. Expected ${expected}`;
  if (typeof input !== 'string')
    return `got ${Array.isArray(input) ? 'a list' : 'keys and values'}, expected ${expected}`;
  return `got ${JSON.stringify(input.slice(0, 60))}, expected ${expected}`;
}

/** Returns a version without `v` and with `+` before its build, or undefined for other text. */
export function plainVersion(text: string): string | undefined {
  return parseVersion(text.replace(/^v(?=\d)/, '').replace('_', '+'))?.text;
}

/** Answers of a range that are kept: a fleet runs a few versions, and says so at every request. */
const MAX_ANSWERS = 100;

function remembered(test: (version: string) => boolean): (version: string) => boolean {
  const answers = new Map<string, boolean>();
  return (version) => {
    const known = answers.get(version);
    if (known !== undefined) return known;
    const answer = test(version);
    if (answers.size >= MAX_ANSWERS) answers.clear();
    answers.set(version, answer);
    return answer;
  };
}

function rangeKind(includePrerelease: boolean): Kind<Range> {
  const known = new Map<string, Range>();
  return {
    expected: 'a range of versions such as ">=1.0.0 <2.0.0", "^1.4.0" or "1.x"',
    schema: { type: 'string', minLength: 1, maxLength: MAX_RANGE, pattern: RANGE_CHARACTERS.source },
    read(text) {
      const same = known.get(text);
      if (same) return same;
      if (text.length > MAX_RANGE || !RANGE_CHARACTERS.test(text)) return undefined;
      semver ??= createRequire(import.meta.url)('semver') as typeof Semver;
      const library = semver;
      try {
        const parsed = new library.Range(text, { includePrerelease });
        const read: Range = { text, includes: remembered((candidate) => parsed.test(candidate)) };
        if (known.size >= MAX_RANGES) known.clear();
        known.set(text, read);
        return read;
      } catch {
        return undefined;
      }
    },
  };
}

function wholeNumber(text: string, min: number, max: number): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  return value >= min && value <= max ? value : undefined;
}

function readTime(text: string): number | undefined {
  const [, day, clock] =
    /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d))$/.exec(text) ?? [];
  if (day === undefined || clock === undefined) return undefined;
  const ms = Date.parse(`${day}T${clock.toUpperCase()}`);
  // JavaScript takes 30 February for 2 March.
  const midnight = new Date(`${day}T00:00:00Z`);
  const isDay = !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
  return Number.isNaN(ms) || !isDay ? undefined : ms;
}
