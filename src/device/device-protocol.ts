import type { ServerResponse } from 'node:http';
import { deviceIn, type DeviceRequest } from '../delivery/index.js';

/** What a dialect makes of a path. */
export interface Match {
  /** The name of the route, such as `/esphome/:device/manifest.json`: the label of its metrics, never what a client sent. */
  readonly route: string;
  /** The parameters in the path, by name, as they were sent. */
  readonly params?: Readonly<Record<string, string>>;
}

/**
 * One client dialect on the device plane. The first protocol that matches a request answers it; what none matches
 * is left to the control plane. `match` is asked for every request, so it must be quick.
 *
 * @publicApi
 */
export abstract class DeviceProtocol {
  /** Returns the route of a request that this dialect answers, or undefined. */
  abstract match(method: string, path: string): Match | undefined;
  /**
   * The device that a request is about, which limits and authenticators go by: `?device=` unless the dialect has it
   * elsewhere. Throws a DeviceRefusal when it names none.
   */
  deviceOf({ query }: DeviceRequest): string {
    return deviceIn(query);
  }
  /**
   * Answers, with firmware by way of `Delivery`. What it throws, or its promise rejects with, is answered by the one table
   * from error to status: an OtaError of `Delivery` needs no catch here.
   */
  abstract handle(request: DeviceRequest, response: ServerResponse): void | Promise<void>;
}
