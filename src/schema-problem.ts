/** What zod says of a value that does not fit a schema, as far as it is needed here. */
interface Issue {
  readonly code?: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly expected?: unknown;
  readonly values?: readonly unknown[];
  readonly keys?: readonly string[];
}

/** The first problem of a value that does not fit a schema, in plain words: `layers.0.size: expected a number`. */
export function schemaProblem({ issues: [issue] }: { readonly issues: readonly Issue[] }, where = ''): string {
  if (!issue) return where;
  const place = [where, ...issue.path.map(String)].filter(Boolean).join('.');
  return place ? `${place}: ${problemOf(issue)}` : problemOf(issue);
}

function problemOf({ code, message, expected, values = [], keys = [] }: Issue): string {
  if (message.includes('received undefined')) return 'it is missing';
  switch (code) {
    case 'invalid_type':
      return `expected ${kindOf(String(expected))}`;
    case 'invalid_value':
      return `expected ${values.map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'unrecognized_keys':
      return `unknown key ${keys.map((key) => JSON.stringify(key)).join(', ')}`;
    case 'too_small':
      return 'it is too small or too short';
    case 'too_big':
      return 'it is too large or too long';
    case 'custom':
      return message;
    default:
      return 'it has a wrong form';
  }
}

function kindOf(type: string): string {
  if (type === 'record') return 'an object';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}
