import { deviceIn } from './query.js';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A device's request, taken apart once. */
export interface DeviceRequest {
  readonly method: string;
  /** What stands before the `?`, as it was sent. */
  readonly path: string;
  /** What stands behind it, empty when nothing does. */
  readonly query: string;
  readonly raw: IncomingMessage;
  /** When it came, on the clock of `performance.now()`: read once, because reading a clock costs as much as finding a release. */
  readonly receivedAtMs: number;
}

/**
 * One client dialect on the device plane. The first protocol that matches a request answers it; what none matches
 * is left to the control plane. `match` is asked for every request, so it must be quick.
 *
 * @publicApi
 */
export abstract class DeviceProtocol {
  abstract match(method: string, path: string): boolean;
  /**
   * The device that a request is about, which limits and authenticators go by: `?device=` unless the dialect has it
   * elsewhere. Throws a DeviceRefusal when it names none.
   */
  deviceOf({ query }: DeviceRequest): string {
    return deviceIn(query);
  }
  /** Answers; a promise is awaited, and what it rejects with is answered by the table in `answers.ts`. */
  abstract handle(request: DeviceRequest, response: ServerResponse): void | Promise<void>;
}
