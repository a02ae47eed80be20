import type { DeviceRequest } from '../../delivery/index.js';

/** `unknown`: it shows nothing, or nothing that is known. `other`: it is known, and is not the device asked for. */
export type Access = 'allowed' | 'unknown' | 'other';

/**
 * Decides whether a request may speak for a device. Where several are configured, one that allows is enough. It is asked
 * for every request of the device plane, so it must be quick and may not wait.
 *
 * @publicApi
 */
export abstract class DeviceAuthenticator {
  abstract accessOf(request: DeviceRequest, device: string): Access;
  /** Ends what it began; called when the service ends. */
  close(): void {
    return;
  }
}
