/** A number with more digits than a double can represent, without leading zeros. */
interface BigNumber {
  readonly digits: string;
}

type Identifier = number | BigNumber | string;

/** A semantic version 2.0.0, parsed once to be compared often. */
export interface SemanticVersion {
  /** The version as it was written, without `v`. */
  readonly text: string;
  /** Major, minor and patch. */
  readonly core: readonly Identifier[];
  readonly prerelease: readonly Identifier[];
  readonly build: readonly Identifier[];
}

const FORM = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([\da-zA-Z.-]+))?(?:\+([\da-zA-Z.-]+))?$/;
/** Every number with so many digits is a safe integer. */
const SAFE_DIGITS = 15;

/**
 * Parses a semantic version. Returns undefined if `text` is not a version. The specification does not limit the numbers
 * or the length (sections 2, 9 and 11), but the usual library does, so this parser is our own.
 */
export function parseVersion(text: string): SemanticVersion | undefined {
  const match = FORM.exec(text);
  if (!match) return undefined;
  const [, major = '', minor = '', patch = '', prerelease, build] = match;
  const before = prerelease?.split('.') ?? [];
  const after = build?.split('.') ?? [];
  if (before.includes('') || after.includes('') || before.some((one) => /^0\d+$/.test(one))) return undefined;
  return {
    text,
    core: [identifier(major), identifier(minor), identifier(patch)],
    prerelease: before.map(identifier),
    build: after.map(identifier),
  };
}

/** Returns a negative number if `a` is older than `b`, by precedence (section 11). Build metadata does not count. */
export function comparePrecedence(a: SemanticVersion, b: SemanticVersion): number {
  const core = compareAll(a.core, b.core);
  if (core !== 0) return core;
  // A pre-release is older than its release.
  if (a.prerelease.length === 0 || b.prerelease.length === 0) return b.prerelease.length - a.prerelease.length;
  return compareAll(a.prerelease, b.prerelease);
}

/**
 * Returns a negative number if `a` is older than `b`: by precedence, then by build metadata, identifier by identifier.
 */
export function compareWithBuild(a: SemanticVersion, b: SemanticVersion): number {
  return comparePrecedence(a, b) || compareAll(a.build, b.build);
}

/** If all identifiers are equal, the longer list is newer. */
function compareAll(a: readonly Identifier[], b: readonly Identifier[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const order = compare(a[i] ?? 0, b[i] ?? 0);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** Numbers are compared by value, and are older than words. Words are compared by ASCII. */
function compare(a: Identifier, b: Identifier): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'string' || typeof b === 'string') {
    if (typeof a !== 'string') return -1;
    if (typeof b !== 'string') return 1;
    return byCode(a, b);
  }
  if (typeof a === 'number') return -1;
  if (typeof b === 'number') return 1;
  return a.digits.length - b.digits.length || byCode(a.digits, b.digits);
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function identifier(text: string): Identifier {
  if (!/^\d+$/.test(text)) return text;
  if (text.length <= SAFE_DIGITS) return Number(text);
  // Build metadata may have leading zeros.
  const digits = text.replace(/^0+(?=\d)/, '');
  return digits.length <= SAFE_DIGITS ? Number(digits) : { digits };
}

/**
 * Returns whether a client that says that it runs `running` runs `version`: the same version, with or without `v`, and with
 * `_` or `+` before the build, because a tag cannot contain `+`.
 */
export function isSameVersion(running: string | undefined, version: string): boolean {
  if (running === undefined || running === version) return running === version;
  const plain = running.replace(/^v(?=\d)/, '').replace('_', '+');
  return plain === version;
}
