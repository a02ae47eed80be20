import type { DeviceRequest } from '../../delivery/index.js';
import type { Access, Identity } from '../../protocols/index.js';

export type { Access };

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
