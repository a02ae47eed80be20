import { createHash } from 'node:crypto';

/**
 * Returns the hash by which a token is stored. A token is long and random, so one round is enough, and devices do not
 * wait.
 */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
