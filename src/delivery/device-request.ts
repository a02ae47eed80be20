import type { IncomingMessage } from 'node:http';

/** A parsed request of a device. */
export interface DeviceRequest {
  readonly method: string;
  /** The part of the URL before `?`, as it was sent. */
  readonly path: string;
  /** The part of the URL after `?`; empty if there is none. */
  readonly query: string;
  /** The parameters that `match` found in the path; empty if there are none. */
  readonly params: Readonly<Record<string, string>>;
  /** The body, if the route takes one; otherwise empty. At most 64 KiB. */
  readonly body: Buffer;
  readonly raw: IncomingMessage;
  /**
   * Time of arrival, on the clock of `performance.now()`. The clock is read once for each request, because reading it
   * costs as much as finding a release.
   */
  readonly receivedAtMs: number;
}
