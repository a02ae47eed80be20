import { globMatcher } from '../glob.js';
import type { PlannedUnit, UnitRule } from './plan.js';

/** Each rule that cannot be looked up is tried for each unit. */
export const MAX_TRIED = 100;
/** Each lookup of an attribute is done for each unit. */
export const MAX_LOOKUPS = 50;

/** What a rule asks for. */
export interface RuleCondition {
  /** Glob over the unit. */
  readonly match: string | undefined;
  /** Tests of attributes; `glob` is undefined if it is no glob, such as a range. */
  readonly where: readonly AttributeTest[];
}

export interface AttributeTest {
  readonly attribute: string;
  readonly glob: string | undefined;
  readonly test: (value: string) => boolean;
}

/** A rule as the index needs it. */
export interface IndexedRule {
  readonly rule: UnitRule;
  readonly condition: RuleCondition;
}

/** How a rule is found: by a text that is equal to the attribute, begins it or ends it. Undefined: it has to be tried. */
interface Key {
  readonly kind: 'equal' | 'start' | 'end';
  readonly attribute: string;
  readonly text: string;
}

/** Returns the value of an attribute that a rule may ask for. */
export function attributeOf(unit: PlannedUnit, attribute: string): string | undefined {
  if (attribute === 'unit') return unit.unit;
  if (attribute === 'hardware') return unit.hardware;
  if (attribute === 'running') return unit.running;
  const { attributes } = unit;
  return attributes !== undefined && Object.hasOwn(attributes, attribute) ? attributes[attribute] : undefined;
}

/** Returns the test of a rule. */
export function conditionTest({ match, where }: RuleCondition): (unit: PlannedUnit) => boolean {
  const tests = where.map(({ attribute, test }) => ({ attribute, test }));
  if (match !== undefined) tests.unshift({ attribute: 'unit', test: lazyMatcher(match) });
  return (unit) =>
    tests.every(({ attribute, test }) => {
      const value = attributeOf(unit, attribute);
      return value !== undefined && test(value);
    });
}

/** Returns a matcher for a glob that is compiled when it is first asked: most rules are looked up. */
export function lazyMatcher(glob: string): (text: string) => boolean {
  let matcher: ((text: string) => boolean) | undefined;
  return (text) => (matcher ??= globMatcher(glob))(text);
}

/**
 * Finds the first rule that matches a unit in a time that does not grow with the number of rules: rules for one unit, or
 * with one `*` at the begin or end, are looked up.
 */
export class UnitRules {
  private readonly lookups: Lookup[] = [];
  private readonly tried: { readonly index: number; readonly rule: UnitRule }[] = [];

  constructor(private readonly rules: readonly IndexedRule[]) {
    for (const [index, { rule, condition }] of rules.entries()) {
      const key = keyOf(condition);
      if (key) this.lookupFor(key).add(key.text, index);
      else this.tried.push({ index, rule });
    }
  }

  /** Number of rules that have to be tried for each unit. */
  get triedCount(): number {
    return this.tried.length;
  }

  /** Number of lookups for each unit. */
  get lookupCount(): number {
    return this.lookups.length;
  }

  find(unit: PlannedUnit): UnitRule | undefined {
    let first = Infinity;
    let name: string | undefined;
    for (const lookup of this.lookups) {
      const { attribute } = lookup;
      const value =
        attribute === 'unit' ? (name ??= unit.unit?.toLowerCase()) : attributeOf(unit, attribute)?.toLowerCase();
      if (value !== undefined) first = Math.min(first, lookup.find(value));
    }
    for (const { index, rule } of this.tried) {
      if (index > first) break;
      if (rule.matches(unit)) return rule;
    }
    // An array that is asked for the element Infinity looks for a property of that name.
    return first === Infinity ? undefined : this.rules[first]?.rule;
  }

  private lookupFor({ kind, attribute }: Key): Lookup {
    const found = this.lookups.find((lookup) => lookup.kind === kind && lookup.attribute === attribute);
    if (found) return found;
    const created = new Lookup(kind, attribute);
    this.lookups.push(created);
    return created;
  }
}

class Lookup {
  /** The index of the first rule, by text. */
  private readonly indices = new Map<string, number>();
  /** The lengths of the texts. */
  private readonly lengths: number[] = [];

  constructor(
    readonly kind: Key['kind'],
    readonly attribute: string,
  ) {}

  add(text: string, index: number): void {
    if (!this.indices.has(text)) this.indices.set(text, index);
    if (!this.lengths.includes(text.length)) this.lengths.push(text.length);
  }

  /** @param text in lower case */
  find(text: string): number {
    if (this.kind === 'equal') return this.indices.get(text) ?? Infinity;
    let first = Infinity;
    for (const length of this.lengths) {
      if (length > text.length) continue;
      const part = this.kind === 'start' ? text.slice(0, length) : text.slice(text.length - length);
      first = Math.min(first, this.indices.get(part) ?? Infinity);
    }
    return first;
  }
}

function keyOf({ match, where }: RuleCondition): Key | undefined {
  const [only] = where;
  if (match !== undefined) return where.length === 0 ? globKey('unit', match) : undefined;
  return where.length === 1 && only?.glob !== undefined ? globKey(only.attribute, only.glob) : undefined;
}

function globKey(attribute: string, glob: string): Key | undefined {
  const text = glob.toLowerCase();
  const inner = text.replace(/^\*|\*$/, '');
  // Sets, escapes and characters of two code units are left to the matcher.
  if (/[*?[\\]|[^\0-\uD7FF\uE000-\uFFFF]/u.test(inner)) return undefined;
  if (text.startsWith('*')) return { kind: 'end', attribute, text: inner };
  return { kind: text.endsWith('*') ? 'start' : 'equal', attribute, text: inner };
}
