import type { DeviceRequest } from '../../delivery/index.js';
import type { Identity } from '../../protocols/index.js';

/**
 * `allowed`: the credentials are valid for the device. `unknown`: no valid credentials. `other`: valid credentials of
 * another device.
 */
export type Access = 'allowed' | 'unknown' | 'other';

/**
 * Decides whether a request may access a device. If several authenticators are configured, one that allows the request
 * is enough. It is called for every request of the device plane. An answer without a promise is the fast path.
 *
 * @publicApi
 */
export abstract class DeviceAuthenticator {
  /** Returns whether `request` may access the product, and the unit if it names one. An error becomes a 500. */
  abstract accessOf(request: DeviceRequest, identity: Identity): Access | Promise<Access>;
  /** Releases resources. Called when the service ends. */
  close(): void {
    return;
  }
}
