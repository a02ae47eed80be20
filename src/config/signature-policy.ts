import { regularExpression, type JsonSchema } from './json-schema.js';
import { Unreadable, type Kind } from './kinds.js';

/** The required signers for the releases of matching devices. */
export interface PolicyRule {
  /** A glob of device ids. */
  readonly match: string;
  /** Key files or folders. */
  readonly keys: readonly string[];
  readonly identity: string | undefined;
  readonly identityRegexp: RegExp | undefined;
  readonly issuer: string | undefined;
  readonly issuerRegexp: RegExp | undefined;
  /** False if no signature is required. */
  readonly required: boolean;
}

const TAKES =
  'a list of {match, keys}, {match, identity, issuer} or {match, required: false}; identity-regexp and issuer-regexp, too';

const TRUE = [true, 'true', 'True', 'TRUE'];
const FALSE = [false, 'false', 'False', 'FALSE'];
const texts: JsonSchema = { type: ['string', 'number'], minLength: 1 };
const identity: JsonSchema = { anyOf: [{ required: ['identity'] }, { required: ['identity-regexp'] }] };
const issuer: JsonSchema = { anyOf: [{ required: ['issuer'] }, { required: ['issuer-regexp'] }] };

/** The same rules as a JSON Schema. */
const policyJson: JsonSchema = {
  type: ['array', 'string'],
  pattern: '^\\s*\\[\\s*\\{',
  minItems: 1,
  items: {
    type: 'object',
    required: ['match'],
    additionalProperties: false,
    properties: {
      match: texts,
      keys: { type: ['string', 'array'], minLength: 1, minItems: 1, items: texts },
      identity: texts,
      'identity-regexp': regularExpression,
      issuer: texts,
      'issuer-regexp': regularExpression,
      required: { enum: [...TRUE, ...FALSE] },
    },
    if: { properties: { required: { enum: FALSE } }, required: ['required'] },
    then: { not: { anyOf: [{ required: ['keys'] }, identity, issuer] } },
    else: {
      if: { required: ['keys'] },
      then: { not: { anyOf: [identity, issuer] } },
      else: { allOf: [identity, issuer] },
    },
  },
};

/** A list in the file; the same as JSON text in a variable or a flag. */
export const signaturePolicy: Kind<readonly PolicyRule[]> = {
  placeholder: 'json',
  takes: TAKES,
  json: policyJson,
  read: (written) => {
    const entries = typeof written === 'string' ? parsed(written) : written;
    if (!Array.isArray(entries) || entries.length === 0) throw new Unreadable(TAKES);
    return entries.map((entry, index) => ruleOf(entry, index + 1));
  },
};

const TEXTS = ['match', 'identity', 'identity-regexp', 'issuer', 'issuer-regexp'] as const;
const KEYS: readonly string[] = [...TEXTS, 'keys', 'required'];

/** The rule of one entry, of which `number` counts from 1; throws Unreadable that names the entry, and the key where it can. */
function ruleOf(entry: unknown, number: number): PolicyRule {
  const wrong = (key = ''): Unreadable => new Unreadable(`${TAKES}; look at entry ${number} ${key}`.trimEnd());
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw wrong();
  const values = entry as Readonly<Record<string, unknown>>;
  if (Object.keys(values).some((key) => !KEYS.includes(key))) throw wrong();
  const text = (key: (typeof TEXTS)[number]): string | undefined => {
    const value = values[key];
    if (value !== undefined && !isText(value)) throw wrong(key);
    return value;
  };
  const pattern = (key: 'identity-regexp' | 'issuer-regexp'): RegExp | undefined => {
    const source = text(key);
    try {
      return source === undefined ? undefined : new RegExp(source, 'u');
    } catch {
      throw wrong(key);
    }
  };
  const match = text('match');
  const keys = [values.keys ?? []].flat();
  const required = truthOf(values.required ?? true);
  if (match === undefined) throw wrong('match');
  if (!keys.every(isText) || (values.keys !== undefined && keys.length === 0)) throw wrong('keys');
  if (required === undefined) throw wrong('required');
  const rule: PolicyRule = {
    match,
    keys,
    identity: text('identity'),
    identityRegexp: pattern('identity-regexp'),
    issuer: text('issuer'),
    issuerRegexp: pattern('issuer-regexp'),
    required,
  };
  if (!isWhole(rule)) throw wrong();
  return rule;
}

function truthOf(value: unknown): boolean | undefined {
  const word = typeof value === 'string' ? value.toLowerCase() : value;
  return word === true || word === 'true' ? true : word === false || word === 'false' ? false : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** Whether a rule says one thing: keys, or an identity with its issuer, or nothing at all where nothing is required. */
function isWhole({ keys, identity, identityRegexp, issuer, issuerRegexp, required }: PolicyRule): boolean {
  const whole = Boolean(identity ?? identityRegexp) && Boolean(issuer ?? issuerRegexp);
  const none = !identity && !identityRegexp && !issuer && !issuerRegexp;
  return required ? (keys.length > 0 ? none : whole) : keys.length === 0 && none;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
