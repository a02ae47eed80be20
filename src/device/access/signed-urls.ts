import { timingSafeEqual } from 'node:crypto';
import { parameter, type DeviceRequest } from '../../delivery/index.js';
import type { Identity } from '../../protocols/index.js';
import { signatureOf } from './credentials.js';
import { DeviceAuthenticator, type Access } from './device-authenticator.js';

/**
 * Authenticates a device by a URL of `otaflux sign-url`: `&expires=` and `&signature=`, an HMAC-SHA256 of device and
 * time with one of the secrets.
 */
export class SignedUrls extends DeviceAuthenticator {
  constructor(
    private readonly secrets: readonly string[],
    private readonly nowMs: () => number = Date.now,
  ) {
    super();
  }

  override accessOf({ query }: DeviceRequest, { product }: Identity): Access {
    const signature = parameter(query, 'signature');
    const expires = parameter(query, 'expires') ?? '';
    if (signature === undefined || !/^\d{1,12}$/.test(expires)) return 'unknown';
    const isSigned = this.secrets
      .map((secret) => equal(signature, signatureOf(secret, product, Number(expires))))
      .some(Boolean);
    // An expired URL, or the URL of another device, has a valid signature, but not for this request.
    return isSigned && Number(expires) * 1000 > this.nowMs() ? 'allowed' : 'other';
  }
}

function equal(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
