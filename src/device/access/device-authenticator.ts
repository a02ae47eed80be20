import type { DeviceRequest } from '../../delivery/index.js';

/**
 * `allowed`: the credentials are valid for the device. `unknown`: no valid credentials. `other`: valid credentials of
 * another device.
 */
export type Access = 'allowed' | 'unknown' | 'other';

/**
 * Decides whether a request may access a device. If several authenticators are configured, one that allows the request
 * is enough. It is called for every request of the device plane, so it must be fast and cannot wait.
 *
 * @publicApi
 */
export abstract class DeviceAuthenticator {
  /** Returns whether `request` may access `device`. */
  abstract accessOf(request: DeviceRequest, device: string): Access;
  /** Releases resources. Called when the service ends. */
  close(): void {
    return;
  }
}
