import { isRepositoryName } from '../repository-name.js';
import { parseVersion } from '../semver.js';
import * as json from './json-schema.js';
import { checked, kind, listOf, quoted, Unreadable, type Kind } from './kind.js';

export * from './address-kinds.js';
export { Unreadable, type Kind } from './kind.js';

function numeric<T>(plain: Kind<T>): Kind<T> {
  return { ...plain, numeric: true };
}

export const text = kind('text', json.anyText, 'text', (value) => value);
/** Whether messages can be published below an MQTT topic (MQTT 3.1.1, section 4.7): no wildcards, no `$` in front. */
export function isMqttTopic(value: string): boolean {
  return value !== '' && !/^\$|[+#\0]/.test(value);
}

export const topic = kind('topic', json.mqttTopic, 'a topic without + and #, such as firmware/releases', (value) => {
  const trimmed = value.replace(/\/+$/, '');
  return trimmed === '' || isMqttTopic(trimmed) ? trimmed : undefined;
});

/** A regular expression, as JavaScript has them. */
export const pattern = kind('regexp', json.regularExpression, 'a regular expression', (value) => {
  try {
    return value ? new RegExp(value, 'u') : undefined;
  } catch {
    return undefined;
  }
});

/** A semantic version without `v`. Build metadata has no part in what is older. */
export const version = kind('version', json.semanticVersion, 'a semantic version such as 1.2.3', (value) =>
  parseVersion(value.replace(/^v/, ''))?.text.replace(/\+.*$/, ''),
);

/** What is put before a device id in a repository name, without slashes at its ends. */
export const repositoryPrefix = kind(
  'path',
  json.repositoryPrefix,
  'a part of a repository name in lower case, such as firmware or acme/devices',
  (value) => {
    const trimmed = value.replaceAll(/^\/+|\/+$/g, '');
    return trimmed === '' || isRepositoryName(trimmed) ? trimmed : undefined;
  },
);

/** A device id: the name of a repository behind the prefix. */
export const deviceId = kind(
  'device',
  json.deviceId,
  'a device id in lower case, such as esp32 or line-1/sensor',
  (value) => (isRepositoryName(value) ? value : undefined),
);

export const path = kind('path', json.nonEmptyText, 'a path', (value) => value || undefined);

const TRUE = ['true', '1', 'yes', 'on'];
const FALSE = ['false', '0', 'no', 'off'];

export const boolean: Kind<boolean> = {
  ...kind('bool', json.booleanIn([...TRUE, ...FALSE]), 'true, false, 1, 0, yes or no', (value) => {
    const lower = value.toLowerCase();
    return TRUE.includes(lower) ? true : FALSE.includes(lower) ? false : undefined;
  }),
  placeholder: undefined,
};

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): Kind<number> {
  return numeric(
    kind('n', json.integerBetween(min, max), `a whole number from ${min} to ${max}`, (value) => {
      const number = /^\d{1,15}$/.test(value) ? Number(value) : NaN;
      return number >= min && number <= max ? number : undefined;
    }),
  );
}

/** From 0 to 1. */
export const fraction = numeric(
  kind('0…1', json.fraction, 'a number from 0 to 1, such as 0.01', (value) => {
    const number = /^\d(?:\.\d{1,9})?$/.test(value) ? Number(value) : NaN;
    return number <= 1 ? number : undefined;
  }),
);

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Longer ones would overflow a timer (2^31 ms); a year is more than anyone waits. */
const MAX_DURATION_MS = 365 * 86_400_000;

/** A duration in milliseconds, written as Go and Prometheus write it. */
export const duration = kind(
  'duration',
  json.durationUpTo(MAX_DURATION_MS, MILLISECONDS),
  'a duration such as 500ms, 30s, 5m or 1h30m',
  (value) => {
    if (value === '0') return 0;
    if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(value)) return undefined;
    let total = 0;
    for (const [, amount, unit] of value.matchAll(/([\d.]+)([a-z]+)/g))
      total += Number(amount) * (MILLISECONDS[unit ?? ''] ?? NaN);
    return total <= MAX_DURATION_MS ? Math.round(total) : undefined;
  },
);

const BYTES: Record<string, number> = { '': 1, B: 1 };
for (const [index, letter] of ['K', 'M', 'G', 'T'].entries()) {
  BYTES[`${letter}iB`] = BYTES[`${letter}i`] = 1024 ** (index + 1);
  BYTES[`${letter}B`] = BYTES[letter] = BYTES[letter.toLowerCase()] = 1000 ** (index + 1);
}

/** A size of at least `min` bytes; binary and decimal units as Kubernetes and docker know them. */
function sizeFrom(min: 0 | 1, takes: string): Kind<number> {
  return numeric(
    kind('size', json.sizeIn(BYTES, min), takes, (value) => {
      const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)$/.exec(value);
      const unit = BYTES[match?.[2] ?? ''];
      const bytes = Math.round(Number(match?.[1]) * (unit ?? NaN));
      return Number.isSafeInteger(bytes) && bytes >= min ? bytes : undefined;
    }),
  );
}

export const size = sizeFrom(0, 'a size such as 512MiB, 4GiB or 100000');
export const sizeAboveZero = sizeFrom(1, 'a size of at least one byte, such as 512MiB, 4GiB or 100000');

/** A number of requests per second. */
export interface Rate {
  readonly perSecond: number;
}

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600 };

/** A rate, as nginx and others write it; 0 is no limit. */
export const rate = kind(
  'rate',
  json.rate,
  'a rate such as 100/s or 600/m, or 0 for no limit',
  (value): Rate | undefined => {
    if (value === '0') return { perSecond: 0 };
    const [, amount = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,6})?)\/([smh])$/.exec(value) ?? [];
    const perSecond = Number(amount) / (SECONDS[unit] ?? NaN);
    return perSecond > 0 ? { perSecond } : undefined;
  },
);

/** One of `values`, in any case. */
export function choice<const T extends string>(values: readonly T[]): Kind<T> {
  const plain = kind(
    values.length > 4 ? 'name' : values.join('|'),
    json.oneOf(values),
    `one of ${values.join(', ')}`,
    (value) => values.find((known) => known === value.toLowerCase()),
  );
  return { ...plain, choices: values };
}

/** Several texts, separated by commas; a list in the file. */
export const list = listOf('a,b', json.listOfTexts, 'a comma-separated list', (text) => text.split(','));

/** Some of `values`. */
export function choices<const T extends string>(values: readonly T[]): Kind<T[]> {
  const takes = `names of ${values.join(', ')}, separated by commas`;
  const known: readonly string[] = values;
  return checked(list, json.listOfWords(values), takes, (entry) =>
    known.includes(entry) ? undefined : quoted(entry),
  ) as Kind<T[]>;
}

/** Characters that device ids consist of, and those of globs. */
export const GLOB = /^[a-z0-9._/-]*[*?[\]{}()!@+|][a-z0-9._/*?[\]{}()!@+|,^-]*$/;

/** Device ids and globs, or `all`. */
export const deviceGlobs = checked(
  list,
  json.deviceGlobs,
  'device ids in lower case, globs such as line-1/*, or all',
  (entry) =>
    isRepositoryName(entry) || (GLOB.test(entry) && !/\.\.|\/\/|^\//.test(entry)) ? undefined : quoted(entry),
);

/** Shorter ones can be guessed: one that signs, from a single message that it has signed. */
export const MIN_SECRET_LENGTH = 16;
const SIGNING_SECRET = `a secret of at least ${MIN_SECRET_LENGTH} characters, such as "openssl rand -hex 32" prints`;
const isLongEnough = (secret: string): boolean => secret.length >= MIN_SECRET_LENGTH;

/** A secret that signs. */
export const signingSecret = kind('text', json.secretFrom(MIN_SECRET_LENGTH), SIGNING_SECRET, (value) =>
  isLongEnough(value) ? value : undefined,
);

/** Several of them, for rotation. */
export const signingSecrets = checked(
  list,
  json.secretsFrom(MIN_SECRET_LENGTH),
  `${SIGNING_SECRET}, or several, separated by commas`,
  (secret) => (isLongEnough(secret) ? undefined : 'one that is shorter'),
);

/** Several secrets that an HTTP header can carry; at least one. */
export const bearerTokens: Kind<string[]> = {
  ...list,
  json: json.tokensFrom(MIN_SECRET_LENGTH),
  takes: `one or more secrets of at least ${MIN_SECRET_LENGTH} characters without spaces, separated by commas`,
  read(written) {
    const values = list.read(written);
    if (values.length > 0 && values.every((value) => isLongEnough(value) && /^[\x21-\x7e]+$/.test(value)))
      return values;
    throw new Unreadable(this.takes);
  },
};
