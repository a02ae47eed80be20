import { Inject, Injectable, Logger } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { reasonOf } from '../errors.js';
import { HttpMeter, type RouteMeter } from '../metrics/index.js';
import { AccessLog } from './access-log.js';
import { DeviceRefusal, internalError, refuse } from './answers.js';
import { DeviceGuard } from './device-guard.js';
import { DeviceProtocol, type DeviceRequest } from './device-protocol.js';

/** The token of the list of protocols. */
export const DEVICE_PROTOCOLS = Symbol('device protocols');

/** Gives each request to the protocol that matches it. */
@Injectable()
export class DeviceRouter {
  private readonly logger = new Logger('DeviceRouter');

  constructor(
    @Inject(DEVICE_PROTOCOLS) private readonly protocols: readonly DeviceProtocol[],
    private readonly guard: DeviceGuard,
    private readonly accessLog: AccessLog,
    private readonly meter: HttpMeter,
  ) {}

  /** Answers a device request, or returns false to leave it to the control plane. */
  readonly handle = (raw: IncomingMessage, response: ServerResponse): boolean => {
    const receivedAtMs = performance.now();
    const target = originForm(raw.url ?? '/');
    const mark = target.indexOf('?');
    const path = mark === -1 ? target : target.slice(0, mark);
    const method = raw.method ?? 'GET';
    const protocol = this.protocolFor(method, path);
    if (!protocol) return false;
    const request: DeviceRequest = {
      method,
      path,
      query: mark === -1 ? '' : target.slice(mark + 1),
      raw,
      receivedAtMs,
    };
    const route = this.meter.route(path);
    try {
      this.guard.check(protocol, request);
      const pending = protocol.handle(request, response);
      if (pending)
        pending.catch((error: unknown) => {
          this.fail(response, error);
        });
    } catch (error) {
      this.fail(response, error);
    }
    this.count(route, method, response, receivedAtMs);
    if (this.accessLog.samples()) this.accessLog.log(request, response);
    return true;
  };

  private protocolFor(method: string, path: string): DeviceProtocol | undefined {
    for (const protocol of this.protocols) if (protocol.match(method, path)) return protocol;
    return undefined;
  }

  /** An answer that is with the kernel already is counted at once, without a listener. */
  private count(route: RouteMeter, method: string, response: ServerResponse, receivedAtMs: number): void {
    if (response.writableFinished || (response.writableEnded && response.writableLength === 0)) {
      route.record(method, response.statusCode, performance.now() - receivedAtMs);
    } else
      response.once('close', () => {
        route.record(method, response.statusCode, performance.now() - receivedAtMs);
      });
  }

  private fail(response: ServerResponse, error: unknown): void {
    if (!(error instanceof DeviceRefusal))
      this.logger.error({
        event: 'device.failed',
        reason: reasonOf(error),
        stack: error instanceof Error ? error.stack : undefined,
      });
    refuse(response, error instanceof DeviceRefusal ? error : internalError());
  }
}

/** A client that takes us for a proxy sends the whole URL (RFC 9112, section 3.2.2). */
function originForm(target: string): string {
  if (target.startsWith('/')) return target;
  const path = /^https?:\/\/[^/?#]*(.*)$/i.exec(target)?.[1];
  return path === undefined ? target : path.startsWith('/') ? path : `/${path}`;
}
