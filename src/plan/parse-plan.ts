import { createRequire } from 'node:module';
import type * as Zod from 'zod';
import { mostSimilar } from '../config/index.js';
import { buildPlan } from './build-plan.js';
import { checkPlan } from './check-plan.js';
import { pathText, readDocument, type PlanDocument } from './document.js';
import type { Finding } from './finding.js';
import { packedPlan } from './packed-plan.js';
import { PlanError, type Plan, type PlanProblem } from './plan.js';
import { planSchema, type PlanSchema } from './schema.js';

/** More are not read by anybody. */
const MAX_PROBLEMS = 50;

type Path = readonly PropertyKey[];

/** The library and the schema, loaded with the first plan: the start must not wait for them. */
let loaded: PlanSchema | undefined;

/**
 * Returns the plan that is written in `text`.
 *
 * @param product the product in whose repository it was found: a plan that names another one is refused
 * @throws PlanError with all that is wrong in it
 */
export function parsePlan(text: string, product?: string): Plan {
  loaded ??= planSchema(createRequire(import.meta.url)('zod') as typeof Zod);
  const document = readDocument(text);
  if (document.value === undefined || document.value === null)
    throw new PlanError([
      { line: 1, column: 1, path: '', message: 'the plan is empty. Expected keys and values such as serial: 1' },
    ]);
  const read = loaded.schema.safeParse(document.value);
  if (!read.success) throw problems(document, read.error.issues.flatMap(findingsOf));
  const { errors, warnings } = checkPlan(read.data, product);
  if (errors.length > 0) throw problems(document, errors);
  const { plan, tooSlow } = buildPlan(
    read.data,
    warnings.map((finding) => placed(document, finding)),
  );
  if (tooSlow !== undefined) throw problems(document, [tooSlow]);
  return packedPlan(read.data, plan);
}

function problems(document: PlanDocument, findings: readonly Finding[]): PlanError {
  const all = findings
    .slice(0, MAX_PROBLEMS)
    .map((finding) => placed(document, finding))
    .sort((a, b) => a.line - b.line || a.column - b.column);
  return new PlanError(all);
}

function placed(document: PlanDocument, { path, key, message }: Finding): PlanProblem {
  return { ...document.place(path, key), path: pathText(path), message };
}

type Issue = Zod.core.$ZodIssue;

/** Keys by the object that has them, for suggestions. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  '': ['serial', 'product', 'channels', 'default', 'units', 'rollouts', 'yanked'],
  channels: ['versions', 'prereleases', 'version'],
  units: ['match', 'where', 'channel', 'version'],
  rollouts: [
    'version',
    'channels',
    'from',
    'starts',
    'stages',
    'halt',
    'rate',
    'window',
    'paused',
    'downgrade',
    'attempt',
    'reached',
  ],
  stages: ['percent', 'for', 'until'],
  until: ['succeeded', 'least'],
  halt: ['failed', 'least'],
  window: ['from', 'to', 'zone'],
};

function findingsOf(issue: Issue): Finding[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      path,
      key,
      message: `unknown key ${JSON.stringify(key.slice(0, 60))}${suggestion(path, key)}`,
    }));
  return [{ path, message: messageOf(issue) }];
}

function suggestion(path: Path, key: string): string {
  const words = path.filter((step) => typeof step === 'string');
  const place = words[0] === 'channels' ? 'channels' : (words.at(-1) ?? '');
  const keys = KEYS[place] ?? [];
  const near = mostSimilar(key, keys);
  return near === undefined ? `. Expected one of ${keys.join(', ')}` : `, did you mean ${near}?`;
}

function messageOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type': {
      if (issue.expected === 'array') return `${given(issue)}expected a list`;
      if (issue.expected === 'object' || issue.expected === 'record') return `${given(issue)}expected keys and values`;
      return issue.message;
    }
    case 'too_big':
      return `expected at most ${issue.maximum} entries`;
    case 'too_small':
      return 'it is empty. Expected at least one entry';
    case 'invalid_key':
      return 'the name of an attribute must have 1 to 128 characters';
    default:
      return issue.message;
  }
}

function given({ message }: Issue): string {
  return message.includes('received undefined') ? 'it is missing or empty. ' : '';
}
