import { createHash, createHmac } from 'node:crypto';

/**
 * Returns the hash by which a token is stored. A token is long and random, so one round is enough, and devices do not
 * wait.
 */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/**
 * Returns the query with which anybody can download the firmware of `device` until `expires`, in seconds since the
 * epoch.
 */
export function signedQuery(secret: string, device: string, expires: number): string {
  return `device=${device}&expires=${expires}&signature=${signatureOf(secret, device, expires)}`;
}

/** Returns the signature of a signed URL: an HMAC-SHA256 of device and time. */
export function signatureOf(secret: string, device: string, expires: number): string {
  return createHmac('sha256', secret).update(`${device}\n${expires}`).digest('base64url');
}
