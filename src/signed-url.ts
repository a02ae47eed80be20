import { createHmac } from 'node:crypto';

/**
 * Returns the signature of a signed URL: an HMAC-SHA256 of product and time, and of the unit if the URL is for one unit.
 *
 * @param expires in seconds since the epoch
 */
export function signatureOf(secret: string, product: string, expires: number, unit?: string): string {
  const text = unit === undefined ? `${product}\n${expires}` : `${product}\n${expires}\n${unit}`;
  return createHmac('sha256', secret).update(text).digest('base64url');
}

/**
 * Returns the query with which anybody can download the firmware of `device` until `expires`, in seconds since the
 * epoch.
 */
export function signedQuery(secret: string, device: string, expires: number, unit?: string): string {
  const named = unit === undefined ? `device=${device}` : `device=${device}&unit=${encodeURIComponent(unit)}`;
  return `${named}&expires=${expires}&signature=${signatureOf(secret, device, expires, unit)}`;
}
