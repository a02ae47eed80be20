import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Returns whether two texts are equal. The time does not depend on the texts, because their digests have the same
 * length.
 */
export function isSameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/**
 * Returns whether `text` is one of `secrets`. It compares all of them, so that the time does not reveal which one
 * matches.
 */
export function isOneOf(text: string, secrets: readonly string[]): boolean {
  return secrets.map((secret) => isSameText(text, secret)).some(Boolean);
}
