import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../clock.js';
import { parameter, type DeviceRequest } from '../../delivery/index.js';
import type { Identity } from '../../protocols/index.js';
import { linkSignatureOf, signatureOf } from '../../signed-url.js';
import { DeviceAuthenticator, type Access } from './device-authenticator.js';

/**
 * Authenticates a device by a URL of `otaflux sign-url`: `&expires=` and `&signature=`, an HMAC-SHA256 of device and
 * time, and of the unit if it is for one unit, with one of the secrets. Or by a link of the server, which is good for its
 * own path.
 */
export class SignedUrls extends DeviceAuthenticator {
  constructor(
    private readonly secrets: readonly string[],
    private readonly clock: Clock,
  ) {
    super();
  }

  override accessOf({ path, query }: DeviceRequest, { product, unit }: Identity): Access {
    const signature = parameter(query, 'signature');
    const expires = parameter(query, 'expires') ?? '';
    if (signature === undefined || !/^\d{1,12}$/.test(expires)) return 'unknown';
    const seconds = Number(expires);
    const isSigned = this.secrets
      .flatMap((secret) =>
        (unit === undefined ? [undefined] : [undefined, unit]).flatMap((named) => [
          signatureOf(secret, product, seconds, named),
          linkSignatureOf(secret, path, product, seconds, named),
        ]),
      )
      .map((expected) => equal(signature, expected))
      .some(Boolean);
    // An expired URL, or the URL of another device, has a valid signature, but not for this request.
    return isSigned && Number(expires) * 1000 > this.clock.nowMs() ? 'allowed' : 'other';
  }
}

function equal(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
