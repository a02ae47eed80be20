import type { JsonSchema } from './json-schema.js';

/**
 * How the value of an option is parsed. A flag or a variable provides text. The file may provide a number, a boolean or
 * a list. `takes` completes "expected …" in an error and "takes …" in the documentation.
 */
export interface Kind<T> {
  readonly takes: string;
  /** The placeholder in `--help`. Undefined for a boolean, whose flag needs no value. */
  readonly placeholder: string | undefined;
  /** Whether a number in the file may be written in YAML's forms: 1e3, 0x10. */
  readonly numeric?: true;
  /** All values, if they are a fixed set of words. Shells complete them. */
  readonly choices?: readonly string[];
  /** Returns the parsed value. Throws Unreadable, whose message completes "expected …". */
  read(written: unknown): T;
  /** A JSON Schema that accepts the same values, for the values of the Helm chart. */
  readonly json: JsonSchema;
}

/** A value that an option does not accept. */
export class Unreadable extends Error {}

/** Returns the text of a string, a number or a boolean, otherwise undefined. */
export function scalar(written: unknown): string | undefined {
  return ['string', 'number', 'boolean'].includes(typeof written) ? String(written) : undefined;
}

export function kind<T>(
  placeholder: string,
  jsonSchema: JsonSchema,
  takes: string,
  parse: (text: string) => T | undefined,
): Kind<T> {
  const read = (written: unknown): T => {
    const text = scalar(written);
    const value = text === undefined ? undefined : parse(text.trim());
    if (value === undefined) throw new Unreadable(takes);
    return value;
  };
  return { placeholder, takes, read, json: jsonSchema };
}

/** The texts of a list, or of one text that `split` parts; none of them is empty. */
export function listOf(
  placeholder: string,
  jsonSchema: JsonSchema,
  takes: string,
  split: (text: string) => string[],
): Kind<string[]> {
  const read = (written: unknown): string[] => {
    const texts = Array.isArray(written) ? written.map(scalar) : [scalar(written)];
    if (texts.includes(undefined)) throw new Unreadable(takes);
    const items = Array.isArray(written) ? (texts as string[]) : split(texts[0] ?? '');
    return items.map((item) => item.trim()).filter(Boolean);
  };
  return { placeholder, takes, read, json: jsonSchema };
}

/** A list whose entries are all good; `problemOf` returns what stands for a bad one in the error, else undefined. */
export function checked(
  plain: Kind<string[]>,
  jsonSchema: JsonSchema,
  takes: string,
  problemOf: (entry: string) => string | undefined,
): Kind<string[]> {
  const read = (written: unknown): string[] => {
    const entries = plain.read(written);
    const problem = entries.map(problemOf).find((found) => found !== undefined);
    if (problem !== undefined) throw new Unreadable(entries.length > 1 ? `${takes}; look at ${problem}` : takes);
    return entries;
  };
  return { ...plain, takes, read, json: jsonSchema };
}

export const quoted = (text: string): string => JSON.stringify(text.slice(0, 100));
