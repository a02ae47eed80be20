import { parseVersion, type SemanticVersion } from '../semver.js';
import { plainVersion } from './kinds.js';

/** A fleet runs a few versions, and says so at every request. */
const MAX_KNOWN = 500;
/** Longer texts are not kept. */
const MAX_LENGTH = 64;
const known = new Map<string, SemanticVersion | undefined>();

/** Returns the version that a unit says it runs, or undefined if that is no semantic version. */
export function runningVersion(text: string): SemanticVersion | undefined {
  const found = known.get(text);
  if (found !== undefined || known.has(text)) return found;
  const plain = plainVersion(text);
  const version = plain === undefined ? undefined : parseVersion(plain);
  if (text.length > MAX_LENGTH) return version;
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(text, version);
  return version;
}
