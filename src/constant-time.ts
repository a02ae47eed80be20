import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares two texts in a time that depends on neither: their digests have one length. */
export function isSameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Whether `text` is one of `secrets`. All are compared, so that the time does not tell which one it is. */
export function isOneOf(text: string, secrets: readonly string[]): boolean {
  return secrets.map((secret) => isSameText(text, secret)).some(Boolean);
}
