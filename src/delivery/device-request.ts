import type { IncomingMessage } from 'node:http';

/** A device's request, taken apart once. */
export interface DeviceRequest {
  readonly method: string;
  /** What stands before the `?`, as it was sent. */
  readonly path: string;
  /** What stands behind it, empty when nothing does. */
  readonly query: string;
  /** What the dialect's `match` found in the path; empty when it has no parameters. */
  readonly params: Readonly<Record<string, string>>;
  readonly raw: IncomingMessage;
  /** When it came, on the clock of `performance.now()`: read once, because reading a clock costs as much as finding a release. */
  readonly receivedAtMs: number;
}
