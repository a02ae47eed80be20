import type { ClientAddress, DeviceRequest } from '../../delivery/index.js';
import type { Identity } from '../../protocols/index.js';
import { DeviceAuthenticator, type Access } from './device-authenticator.js';
import { covers, grantIn } from './grant.js';
import { deviceNamedIn } from './distinguished-name.js';

/**
 * Authenticates a device by a header in which a proxy of TRUST_PROXY names it. The proxy has verified the device's
 * certificate.
 */
export class ProxyHeader extends DeviceAuthenticator {
  private readonly header: string;

  constructor(
    header: string,
    private readonly addresses: ClientAddress,
  ) {
    super();
    this.header = header.toLowerCase();
  }

  override accessOf({ raw }: DeviceRequest, identity: Identity): Access {
    const named = raw.headers[this.header];
    // A proxy that has received no certificate sends an empty header.
    if (typeof named !== 'string' || !named.trim() || !this.addresses.isProxied(raw)) return 'unknown';
    const device = deviceNamedIn(named);
    return device !== undefined && covers(grantIn(device), identity) ? 'allowed' : 'other';
  }
}
