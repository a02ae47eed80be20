import { z } from 'zod';
import { regularExpression, type JsonSchema } from './json-schema.js';
import type { Kind } from './kinds.js';

/** Who must have signed the releases of the devices that `match` names. */
export interface PolicyRule {
  /** A glob of device ids. */
  readonly match: string;
  /** Key files or folders. */
  readonly keys: readonly string[];
  readonly identity: string | undefined;
  readonly identityRegexp: RegExp | undefined;
  readonly issuer: string | undefined;
  readonly issuerRegexp: RegExp | undefined;
  /** False: served without a look at signatures. */
  readonly required: boolean;
}

const TAKES =
  'a list of {match, keys}, {match, identity, issuer} or {match, required: false}; identity-regexp and issuer-regexp, too';

const regexp = z.string().transform((text, context) => {
  try {
    return new RegExp(text, 'u');
  } catch {
    context.addIssue({ code: 'custom', message: TAKES });
    return z.NEVER;
  }
});

const rule = z
  .strictObject({
    match: z.string().min(1),
    keys: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).optional(),
    identity: z.string().min(1).optional(),
    'identity-regexp': regexp.optional(),
    issuer: z.string().min(1).optional(),
    'issuer-regexp': regexp.optional(),
    required: z.union([z.boolean(), z.stringbool({ truthy: ['true'], falsy: ['false'] })]).default(true),
  })
  .transform(({ match, keys = [], identity, issuer, required, ...rest }): PolicyRule => ({
    match,
    keys: [keys].flat(),
    identity,
    identityRegexp: rest['identity-regexp'],
    issuer,
    issuerRegexp: rest['issuer-regexp'],
    required,
  }))
  .refine(({ keys, identity, identityRegexp, issuer, issuerRegexp, required }) => {
    const whole = Boolean(identity ?? identityRegexp) && Boolean(issuer ?? issuerRegexp);
    const none = !identity && !identityRegexp && !issuer && !issuerRegexp;
    return required ? (keys.length > 0 ? none : whole) : keys.length === 0 && none;
  }, TAKES);

const rules = z.array(rule).min(1);

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
      required: { enum: [true, false, 'true', 'false'] },
    },
    if: { properties: { required: { enum: [false, 'false'] } }, required: ['required'] },
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
  schema: z.unknown().transform((value, context) => {
    const result = rules.safeParse(typeof value === 'string' ? parsed(value) : value);
    if (result.success) return result.data;
    const [entry, ...rest] = result.error.issues[0]?.path ?? [];
    const place = typeof entry === 'number' ? `; look at ${['entry', entry + 1, ...rest].join(' ')}` : '';
    context.addIssue({ code: 'custom', message: TAKES + place });
    return z.NEVER;
  }),
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
