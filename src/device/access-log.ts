import { Injectable, Logger } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { Settings } from '../config/index.js';
import { contextOf } from '../request-context.js';
import { ClientAddress, parameter, type DeviceRefusal, type DeviceRequest } from '../delivery/index.js';
import { whenOver } from './response-end.js';

/** Longer ones are no device ids: they are cut, so that nobody fills a disk by asking. */
const MAX_TEXT = 128;

/** Refusals by status: an event for each, so that many of one kind hold back no line of another. */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [401, 'device.unauthorized'],
  [403, 'device.forbidden'],
  [429, 'device.limited'],
]);

/**
 * Logs the device requests that are refused, within the bounds of the logger for repeated warnings, and a sample of all
 * (ACCESS_LOG): none by default, because a fleet asks more than anybody reads.
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

  /** Whether this request is one of those that are logged. */
  samples(): boolean {
    return this.fraction > 0 && Math.random() < this.fraction;
  }

  /** Logs a request once its answer has gone out, or its connection has. */
  log(request: DeviceRequest, response: ServerResponse): void {
    const line = { event: 'device.request', ...this.describe(request, parameter(request.query, 'device')) };
    const write = (): void => {
      const ms = Math.round((performance.now() - request.receivedAtMs) * 10) / 10;
      this.logger.log({ ...line, status: response.statusCode, whole: response.writableFinished, ms });
    };
    if (response.writableFinished) write();
    else whenOver(request.raw.socket, response, write);
  }

  /** Logs a request that was refused because of who sent it, or how many came; nothing for other refusals. */
  refused(request: DeviceRequest, { status, body, reason = body }: DeviceRefusal, device: string | undefined): void {
    const event = REFUSALS.get(status);
    if (event !== undefined) this.logger.warn({ event, status, reason, ...this.describe(request, device) });
  }

  private describe({ method, path, raw }: DeviceRequest, device: string | undefined): Record<string, unknown> {
    return {
      method,
      path: path.slice(0, MAX_TEXT),
      device: device?.slice(0, MAX_TEXT),
      address: this.addresses.of(raw),
      userAgent: raw.headers['user-agent']?.slice(0, MAX_TEXT),
      ...contextOf(raw.headers),
    };
  }
}
