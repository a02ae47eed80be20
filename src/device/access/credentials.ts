import { createHash, createHmac } from 'node:crypto';

/** The hash that a token is known by: it is long and random, so one round is enough, and a device waits for no more. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** The query that lets whoever has it speak for `device` until `expires`, in seconds since the epoch. */
export function signedQuery(secret: string, device: string, expires: number): string {
  return `device=${device}&expires=${expires}&signature=${signatureOf(secret, device, expires)}`;
}

/** The signature in a signed URL: HMAC-SHA256 of device and time. */
export function signatureOf(secret: string, device: string, expires: number): string {
  return createHmac('sha256', secret).update(`${device}\n${expires}`).digest('base64url');
}
