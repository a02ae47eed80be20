import type { ClientAddress } from '../client-address.js';
import type { DeviceRequest } from '../../delivery/index.js';
import { DeviceAuthenticator, type Access } from './device-authenticator.js';

/** The common name in a distinguished name (RFC 4514), where `\,` is a part of a value. */
const COMMON_NAME = /(?:^|(?<!\\)[,/])CN=((?:\\.|[^,/\\])+)/;

/** A header in which a proxy of TRUST_PROXY, which has looked at the device's certificate itself, names the device. */
export class ProxyHeader extends DeviceAuthenticator {
  private readonly header: string;

  constructor(
    header: string,
    private readonly addresses: ClientAddress,
  ) {
    super();
    this.header = header.toLowerCase();
  }

  override accessOf({ raw }: DeviceRequest, device: string): Access {
    const named = raw.headers[this.header];
    if (typeof named !== 'string' || !this.addresses.isProxied(raw)) return 'unknown';
    // nginx's $ssl_client_s_dn is a whole name; its common name is the device.
    const name = COMMON_NAME.exec(named)?.[1] ?? named;
    return name === device || named === device ? 'allowed' : 'other';
  }
}
