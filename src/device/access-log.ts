import { Injectable, Logger } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { Settings } from '../config/index.js';
import { contextOf } from '../request-context.js';
import { ClientAddress, parameter, type DeviceRefusal, type DeviceRequest } from '../delivery/index.js';
import type { Identity } from '../protocols/index.js';
import { whenOver } from './response-end.js';

/** Longer texts are truncated, so that no client can fill a disk. Device ids are shorter. */
const MAX_TEXT = 128;

/**
 * The event for each status of a refusal. Separate events, so that many refusals of one kind do not suppress lines of
 * another.
 */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [401, 'device.unauthorized'],
  [403, 'device.forbidden'],
  [429, 'device.limited'],
]);

/**
 * Logs refused device requests, within the limits for repeated warnings, and a sample of all device requests
 * (ACCESS_LOG). The sample is empty by default, because a fleet sends more requests than anybody reads.
 */
@Injectable()
export class AccessLog {
  private readonly logger = new Logger('AccessLog');
  private readonly fraction: number;
  private readonly addresses: ClientAddress;

  constructor(settings: Settings) {
    this.fraction = settings.accessLog;
    this.addresses = new ClientAddress(settings.trustProxy);
  }

  /** Returns whether to log this request in the sample. */
  samples(): boolean {
    return this.fraction > 0 && Math.random() < this.fraction;
  }

  /** Logs a request when its response was sent, or when its connection was closed. */
  log(identity: Identity | undefined, request: DeviceRequest, response: ServerResponse): void {
    const line = { event: 'device.request', ...this.describe(request, identity) };
    const write = (): void => {
      const ms = Math.round((performance.now() - request.receivedAtMs) * 10) / 10;
      this.logger.log({ ...line, status: response.statusCode, whole: response.writableFinished, ms });
    };
    if (response.writableFinished) write();
    else whenOver(request.raw.socket, response, write);
  }

  /** Logs a request that was refused because of its sender or the number of requests. Ignores other refusals. */
  refused(request: DeviceRequest, { status, body, reason = body }: DeviceRefusal, identity?: Identity): void {
    const event = REFUSALS.get(status);
    if (event !== undefined) this.logger.warn({ event, status, reason, ...this.describe(request, identity) });
  }

  private describe({ method, path, query, raw }: DeviceRequest, identity?: Identity): Record<string, unknown> {
    return {
      method,
      path: path.slice(0, MAX_TEXT),
      // A request that is refused for its id has no product, but this text.
      device: (identity?.product ?? parameter(query, 'device'))?.slice(0, MAX_TEXT),
      unit: identity?.unit,
      address: this.addresses.of(raw),
      userAgent: raw.headers['user-agent']?.slice(0, MAX_TEXT),
      ...contextOf(raw.headers),
    };
  }
}
