import { Injectable, Logger } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { Settings } from '../config/index.js';
import { contextOf } from '../request-context.js';
import { ClientAddress, parameter, type DeviceRequest } from '../delivery/index.js';
import { whenOver } from './response-end.js';

/** Longer ones are no device ids: they are cut, so that nobody fills a disk by asking. */
const MAX_TEXT = 128;

/** A line for some device requests, or all: off by default, because a fleet asks more than anybody reads. */
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
  log({ method, path, query, raw, receivedAtMs }: DeviceRequest, response: ServerResponse): void {
    const line = {
      event: 'device.request',
      method,
      path: path.slice(0, MAX_TEXT),
      device: parameter(query, 'device')?.slice(0, MAX_TEXT),
      address: this.addresses.of(raw),
      userAgent: raw.headers['user-agent']?.slice(0, MAX_TEXT),
      ...contextOf(raw.headers),
    };
    const write = (): void => {
      const ms = Math.round((performance.now() - receivedAtMs) * 10) / 10;
      this.logger.log({ ...line, status: response.statusCode, whole: response.writableFinished, ms });
    };
    if (response.writableFinished) write();
    else whenOver(raw.socket, response, write);
  }
}
