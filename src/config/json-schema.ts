/**
 * JSON Schemas (draft 7) of what each kind of option takes, for the values of the Helm chart. They give the verdict that
 * the server's own parser gives; test/full/helm-values.e2e-spec.ts compares the two.
 *
 * Patterns use only what RE2 (Helm) and JavaScript (editors) share: no look-ahead, no inline flags.
 */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Any text; YAML may have read it as a number or a boolean. */
export const anyText: JsonSchema = { type: ['string', 'number', 'boolean'] };
export const nonEmptyText: JsonSchema = { ...anyText, pattern: '\\S' };
export const listOfTexts: JsonSchema = { type: ['string', 'number', 'boolean', 'array'], items: anyText };

/** The spellings that people use for a word whose case does not matter. */
function spellings(words: readonly string[]): string[] {
  const variants = words.flatMap((word) => [word, word.toUpperCase(), word.slice(0, 1).toUpperCase() + word.slice(1)]);
  return [...new Set(variants)];
}

export function oneOf(words: readonly string[]): JsonSchema {
  return { enum: spellings(words) };
}

export function booleanIn(words: readonly string[]): JsonSchema {
  return { enum: [true, false, 0, 1, ...spellings(words)] };
}

/** Matches decimal integers above `limit`. */
function above(limit: number): string {
  const digits = String(limit);
  const longer = `[1-9][0-9]{${digits.length},}`;
  const greater = Array.from(digits, (digit, index) => {
    const rest = digits.length - index - 1;
    return digit === '9' ? [] : [`${digits.slice(0, index)}[${Number(digit) + 1}-9]${rest ? `[0-9]{${rest}}` : ''}`];
  }).flat();
  return `0*(?:${[longer, ...greater].join('|')})`;
}

export function integerBetween(min: number, max: number): JsonSchema {
  const tooSmall = min > 0 ? [`^0*(?:${Array.from({ length: min }, (_, index) => index).join('|')})(?:\\.|$)`] : [];
  return {
    type: ['integer', 'string'],
    minimum: min,
    maximum: max,
    pattern: '^[0-9]{1,15}(?:\\.0+)?$',
    not: { type: 'string', pattern: [`^${above(max)}(?:\\.|$)`, ...tooSmall].join('|') },
  };
}

export const fraction: JsonSchema = {
  type: ['number', 'string'],
  minimum: 0,
  maximum: 1,
  pattern: '^(?:0(?:\\.[0-9]{1,9})?|1(?:\\.0{1,9})?)$',
};

/** A duration of at most `maxMs`; a sum such as 300d300d may be longer and is left to the server. */
export function durationUpTo(maxMs: number, units: Readonly<Record<string, number>>): JsonSchema {
  const tooLong = Object.entries(units).map(([unit, ms]) => {
    const limit = maxMs / ms;
    return `(?:${above(limit)}(?:\\.[0-9]+)?|0*${limit}\\.[0-9]*[1-9][0-9]*)${unit}`;
  });
  return {
    type: ['string', 'integer'],
    minimum: 0,
    maximum: 0,
    pattern: '^(?:0|(?:[0-9]+(?:\\.[0-9]+)?(?:ms|s|m|h|d))+)$',
    not: { type: 'string', pattern: `(?:^|[a-z])(?:${tooLong.join('|')})(?:[0-9]|$)` },
  };
}

/** A size of at least `min` bytes with one of `units`, which say how many bytes each is. */
export function sizeIn(units: Readonly<Record<string, number>>, min: 0 | 1): JsonSchema {
  const names = Object.keys(units);
  const tooLarge = names
    .filter((name) => (units[name] ?? 0) > 1)
    .map((name) => `${above(Math.floor(Number.MAX_SAFE_INTEGER / (units[name] ?? 1)))}(?:\\.[0-9]+)?\\s*${name}`);
  const tooSmall = min === 0 ? [] : ['0+(?:\\.0+)?\\s*[A-Za-z]*', '0+\\.[0-4][0-9]*\\s*B?'];
  return {
    type: ['number', 'string'],
    minimum: min / 2,
    maximum: 999_999_999_999_999,
    pattern: `^[0-9]{1,15}(?:\\.[0-9]{1,6})?\\s*(?:${names.join('|')})$`,
    not: { type: 'string', pattern: `^(?:${[...tooLarge, ...tooSmall].join('|')})$` },
  };
}

export const rate: JsonSchema = {
  type: ['string', 'integer'],
  minimum: 0,
  maximum: 0,
  pattern: '^(?:0|[0-9]{1,9}(?:\\.[0-9]{1,6})?/[smh])$',
  not: { type: 'string', pattern: '^[0.]+/' },
};

export const semanticVersion: JsonSchema = {
  type: 'string',
  pattern: (() => {
    const number = '(?:0|[1-9][0-9]*)';
    const prerelease = '(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)';
    return `^v?${number}\\.${number}\\.${number}(?:-${prerelease}(?:\\.${prerelease})*)?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$`;
  })(),
};

const NAME_PART = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = `${NAME_PART}(?:/${NAME_PART})*`;

export const repositoryPrefix: JsonSchema = { ...anyText, minimum: 0, pattern: `^\\s*/*(?:${REPOSITORY})?/*\\s*$` };

/** YAML may have read it as a number. */
export const deviceId: JsonSchema = { ...anyText, minimum: 0, pattern: `^\\s*${REPOSITORY}\\s*$` };

const GLOB = '[a-z0-9._/-]*[*?\\[\\]{}()!@+|][a-z0-9._/*?\\[\\]{}()!@+|^-]*';

/** Device ids and globs: a text with commas, or a list. */
export const deviceGlobs: JsonSchema = {
  type: ['string', 'number', 'boolean', 'array'],
  minimum: 0,
  ...separated(`${REPOSITORY}|${GLOB}`),
  not: { type: 'string', pattern: '\\.\\.|//|(?:^|,)\\s*/' },
  items: {
    ...anyText,
    minimum: 0,
    pattern: `^\\s*(?:${REPOSITORY}|${GLOB})?\\s*$`,
    not: { type: 'string', pattern: '\\.\\.|//|^\\s*/' },
  },
};

const INTERVAL = `(?:(?:${REPOSITORY}|${GLOB}|\\*)=)?\\s*(?:[0-9]+(?:\\.[0-9]+)?(?:ms|s|m|h|d))+(?:~[0-9]{1,2}%)?`;
/** 0, and more than 23:59:59 in one unit. A sum may be longer and is left to the server. */
const NO_INTERVAL = [
  '(?:^|[=,])\\s*(?:0+(?:\\.0+)?(?:s|m|h|d)|0*[0-4]?[0-9]{0,2}ms)\\s*(?:[~,]|$)',
  ...Object.entries({ ms: 86_399_499, s: 86_399, m: 1_439, h: 23, d: 0 }).map(
    ([unit, limit]) => `(?:^|[=,a-z])\\s*${above(limit)}(?:\\.[0-9]+)?${unit}(?:[~,0-9]|\\s|$)`,
  ),
].join('|');

/** Intervals with globs: a text with commas, or a list. */
export const pollIntervals: JsonSchema = {
  type: ['string', 'array'],
  minItems: 1,
  ...separated(INTERVAL),
  not: { type: 'string', pattern: NO_INTERVAL },
  items: { type: 'string', pattern: `^\\s*${INTERVAL}\\s*$`, not: { pattern: NO_INTERVAL } },
};

/** Words of `words`: a text with commas, or a list. */
export function listOfWords(words: readonly string[]): JsonSchema {
  const word = words.join('|');
  return {
    type: ['string', 'array'],
    ...separated(word),
    items: { type: 'string', pattern: `^\\s*(?:${word})?\\s*$` },
  };
}

/** A text of entries between commas, of which some may be empty. */
function separated(entry: string): JsonSchema {
  return { pattern: `^\\s*(?:${entry})?\\s*(?:,\\s*(?:${entry})?\\s*)*$` };
}

const longText = (min: number): string => `[^\\s,](?:[^,]{${min - 2},}[^\\s,])`;

/** A secret of at least `min` characters. */
export function secretFrom(min: number): JsonSchema {
  return { type: 'string', pattern: `^\\s*\\S[\\s\\S]{${min - 2},}\\S\\s*$` };
}

/** Several of them, a text with commas or a list. */
export function secretsFrom(min: number): JsonSchema {
  return {
    type: ['string', 'array'],
    ...separated(longText(min)),
    items: { type: 'string', pattern: `^\\s*(?:\\S[\\s\\S]{${min - 2},}\\S)?\\s*$` },
  };
}

/** Several secrets without spaces; at least one. */
export function tokensFrom(min: number): JsonSchema {
  const token = `[!-+\\--~]{${min},}`;
  return {
    type: ['string', 'array'],
    minItems: 1,
    pattern: `^[\\s,]*${token}\\s*(?:,\\s*(?:${token})?\\s*)*$`,
    items: { type: 'string', pattern: `^\\s*[!-~]{${min},}\\s*$` },
  };
}

export const mqttTopic: JsonSchema = { ...anyText, pattern: '^(?:/*|[^$+#][^+#]*)$' };

const PORT = '(?::[0-9]+)?';
const BAD_PORT = `:${above(65_535)}(?:[/?#]|$)`;
const NAME = '[^\\s#/:<>?@\\[\\\\\\]^|%]';
const V6 = '\\[[0-9a-fA-F:.]+\\]';
const HOST = `(?:${NAME}+|${V6})`;

export const listenAddress: JsonSchema = {
  type: 'string',
  pattern: '^(?:\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9.-]*):[0-9]{1,5}$',
  not: { pattern: `:${above(65_535)}$` },
};

/** A name whose last label is a number would be an IPv4 address, and is none. */
const BAD_NAME = '[^/:]*[^/:0-9.][^/:]*\\.[0-9]+(?:[:/]|$)';

/** The first part of repository names. */
const PATH = `(?:/+(?:${REPOSITORY}/*)?)?`;
/** A path that begins with the version of the API, which is no part of a repository name. */
const API_PATH = '(?:[hH][tT][tT][pP][sS]?://)?[^/]+/+v[12](?:/|$)';

/** An http URL without login, query and fragment. */
export const httpUrl: JsonSchema = {
  type: 'string',
  pattern: `^[hH][tT][tT][pP][sS]?://${HOST}${PORT}(?:/[^?#\\s\\\\]*)?$`,
  not: { pattern: `^[^/]*//[^/]*${BAD_PORT}|^[^/]*//${BAD_NAME}` },
};

export const registryUrl: JsonSchema = {
  ...anyText,
  // A number is an IPv4 address.
  maximum: 4_294_967_295,
  pattern: `^(?:oci:(?:[^/]|/[^/]|/$|///).*|[hH][tT][tT][pP][sS]?://${HOST}${PORT}${PATH}|(?:[^.\\s#/:<>?@\\[\\\\\\]^|%]${NAME}*|${V6})${PORT}${PATH})$`,
  not: { type: 'string', pattern: `^(?:[A-Za-z]+://)?(?:[^/]*${BAD_PORT}|${BAD_NAME})|^${API_PATH}` },
};

/** A URL with one of `schemes` and a host. */
export function urlOf(schemes: readonly string[]): JsonSchema {
  return {
    type: 'string',
    pattern: `^(?:${schemes.join('|')})://(?:[^/?#]*@)?${HOST}${PORT}(?:[/?#].*)?$`,
    not: { pattern: `^[a-z]+://[^/?#]*${BAD_PORT}` },
  };
}

/** A URL with one of `schemes` that may name several hosts. */
export function redisUrlOf(schemes: readonly string[]): JsonSchema {
  return {
    type: 'string',
    pattern: `^(?:${schemes.map((scheme) => scheme.replaceAll('+', '\\+')).join('|')})://(?:[^/?#]*@)?[^/?#\\s,]+(?:,[^/?#\\s,]+)*(?:[/?#]\\S*)?$`,
    not: { pattern: `^[a-z+]+://[^/?#]*${BAD_PORT}` },
  };
}

/** A list of URLs with one of `schemes`; each may name several hosts. */
export function urlsOf(schemes: readonly string[]): JsonSchema {
  const start = `(?:${schemes.map((scheme) => scheme.replaceAll('+', '\\+')).join('|')})://[^/]`;
  return {
    type: ['string', 'array'],
    minItems: 1,
    pattern: `^\\s*${start}`,
    items: { type: 'string', pattern: `^${start}` },
  };
}

/**
 * A regular expression of JavaScript with the flag `u`. RE2 reads most of them; those with look-around, references or `\u`
 * are taken unread. What RE2 takes and JavaScript refuses (inline flags, `\A`, `{` as a letter) is named.
 */
export const regularExpression: JsonSchema = {
  ...nonEmptyText,
  anyOf: [{ format: 'regex' }, { pattern: '\\(\\?<?[=!]|\\\\[1-9ku]|\\(\\?<[A-Za-z]' }],
  not: {
    type: 'string',
    pattern: [
      '\\(\\?[a-zA-Z-]',
      '\\\\[^dDsSwWbBfnrtvcxukpP0-9^$\\\\.*+?()\\[\\]{}|/-]',
      '^(?:[^\\[]*[^\\[\\\\pPuk])?\\{(?:[^0-9]|$)',
      '^[^\\[\\\\]*(?:\\\\-|\\])',
      '^[^{\\\\]*\\}',
    ].join('|'),
  },
};
