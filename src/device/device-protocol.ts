import type { ServerResponse } from 'node:http';
import { deviceIn, type DeviceRequest } from '../delivery/index.js';

/** The result of `match`. */
export interface Match {
  /**
   * Name of the route, such as `/esphome/:device/manifest.json`. It is the label of metrics, so it must not contain
   * text of the client.
   */
  readonly route: string;
  /** The parameters in the path, by name, as they were sent. */
  readonly params?: Readonly<Record<string, string>>;
}

/**
 * A client protocol on the device plane. The first protocol that matches a request answers it. Other requests go to the
 * control plane. `match` is called for every request, so it must be fast.
 *
 * @publicApi
 */
export abstract class DeviceProtocol {
  /** Returns the route of a request that this protocol answers, or undefined. */
  abstract match(method: string, path: string): Match | undefined;
  /**
   * Returns the device of a request, for limits and authenticators. Default: `?device=`. Throws a DeviceRefusal if the
   * request has no device.
   */
  deviceOf({ query }: DeviceRequest): string {
    return deviceIn(query);
  }
  /**
   * Answers a request, and sends firmware through `Delivery`. An error that it throws, or with which its promise
   * rejects, is answered with the status of the error. So errors of `Delivery` need no `catch` here.
   */
  abstract handle(request: DeviceRequest, response: ServerResponse): void | Promise<void>;
}
