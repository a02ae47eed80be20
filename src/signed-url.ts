import { createHmac } from 'node:crypto';
import { percentDecoded } from './percent.js';

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
 * Returns the signature of a link that the server hands out. It is good for one path only, so that a unit which may
 * download cannot ask or report for others with it.
 *
 * @param path as it was sent or is to be sent; proxies may spell its percent-encoding in another way
 * @param expires in seconds since the epoch
 */
export function linkSignatureOf(secret: string, path: string, product: string, expires: number, unit = ''): string {
  const text = ['link', percentDecoded(path), product, expires, unit].join('\n');
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
