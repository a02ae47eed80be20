import { Inject, Injectable } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Delivery, DeviceRefusal, readBody, type DeviceRequest } from '../delivery/index.js';
import { HttpMeter, type RouteMeter } from '../metrics/index.js';
import { AccessLog } from './access-log.js';
import { DeviceGuard } from './device-guard.js';
import { DeviceProtocol, type Ask, type Match } from '../protocols/index.js';
import { whenOver } from './response-end.js';

/** Injection token of the list of protocols. */
export const DEVICE_PROTOCOLS = Symbol('device protocols');

const NO_PARAMS = {};
const NO_BODY = Buffer.alloc(0);

interface Found {
  readonly protocol: DeviceProtocol;
  readonly match: Match;
}

/** Passes each request to the protocol that matches it. */
@Injectable()
export class DeviceRouter {
  /** @internal Created by Nest. */
  constructor(
    @Inject(DEVICE_PROTOCOLS) private readonly protocols: readonly DeviceProtocol[],
    private readonly guard: DeviceGuard,
    private readonly delivery: Delivery,
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
    let found: Found | undefined;
    try {
      found = this.find(method, path, raw);
    } catch (error) {
      // An error in `match` of a protocol affects its own response only.
      this.delivery.refuse(response, error, undefined);
      this.count(this.meter.route('other'), { method, raw, receivedAtMs }, response);
      return true;
    }
    if (!found) return false;
    const { protocol, match } = found;
    const request: DeviceRequest = {
      method,
      path,
      query: mark === -1 ? '' : target.slice(mark + 1),
      params: match.params ?? NO_PARAMS,
      body: NO_BODY,
      raw,
      receivedAtMs,
    };
    if (match.takesBody) void this.answerWithBody(found, request, response);
    else if (match.isLogin) void this.login(protocol, request, response);
    else this.answer(found, request, response);
    this.count(this.meter.route(match.route), request, response);
    return true;
  };

  /** Creates no promise of its own: checks and answers are normally done at once. */
  private answer(
    { protocol, match: { isReport } }: Found,
    request: DeviceRequest,
    response: ServerResponse,
    isAdmitted = false,
  ): void {
    let ask: Ask | undefined;
    let wrong: unknown;
    try {
      ask = protocol.identify(request);
    } catch (error) {
      wrong = error;
    }
    try {
      // Wrong requests count against the limit of their address, too.
      if (!isAdmitted) this.guard.admit(request, isReport);
      if (!ask) throw wrong;
      const checked = this.guard.check(request, ask, protocol, isReport);
      const known = ask;
      const pending = checked
        ? checked.then(() => protocol.handle(known, request, response))
        : protocol.handle(ask, request, response);
      if (pending)
        pending.catch((error: unknown) => {
          this.fail(protocol, ask, request, response, error);
        });
    } catch (error) {
      this.fail(protocol, ask, request, response, error);
    }
    if (this.accessLog.samples()) this.accessLog.log(ask, request, response);
  }

  /** Reads the body first, which costs memory, so only for a client within the limit of its address. */
  private async answerWithBody(found: Found, request: DeviceRequest, response: ServerResponse): Promise<void> {
    const { protocol, match } = found;
    let complete: DeviceRequest;
    try {
      this.guard.admit(request, match.isReport);
      complete = { ...request, body: await readBody(request.raw) };
    } catch (error) {
      this.fail(protocol, undefined, request, response, error);
      return;
    }
    if (match.isLogin) await this.login(protocol, complete, response, true);
    else this.answer(found, complete, response, true);
  }

  private async login(
    protocol: DeviceProtocol,
    request: DeviceRequest,
    response: ServerResponse,
    isAdmitted = false,
  ): Promise<void> {
    try {
      if (!isAdmitted) this.guard.admit(request);
      await protocol.login?.(request, response);
    } catch (error) {
      this.fail(protocol, undefined, request, response, error);
    }
    if (this.accessLog.samples()) this.accessLog.log(undefined, request, response);
  }

  private find(method: string, path: string, raw: IncomingMessage): Found | undefined {
    for (const protocol of this.protocols) {
      const match = protocol.match(method, path, raw);
      if (match) return { protocol, match };
    }
    return undefined;
  }

  /**
   * Counts a request. If the response was already handed to the operating system, counts it at once, without a
   * listener.
   */
  private count(
    route: RouteMeter,
    { method, raw: { socket }, receivedAtMs }: Pick<DeviceRequest, 'method' | 'raw' | 'receivedAtMs'>,
    response: ServerResponse,
  ): void {
    if (response.writableFinished || (response.writableEnded && response.writableLength === 0)) {
      route.record(method, response.statusCode, performance.now() - receivedAtMs);
    } else
      whenOver(socket, response, () => {
        route.record(method, response.statusCode, performance.now() - receivedAtMs);
      });
  }

  private fail(
    protocol: DeviceProtocol,
    ask: Ask | undefined,
    request: DeviceRequest,
    response: ServerResponse,
    error: unknown,
  ): void {
    const answer = protocol.refuse?.bind(protocol);
    this.delivery.refuse(response, error, ask?.product, answer);
    if (error instanceof DeviceRefusal) this.accessLog.refused(request, error, ask);
  }
}

/**
 * Returns the path and query of a request target. Clients that use this server as a proxy send the complete URL (RFC
 * 9112, section 3.2.2).
 */
function originForm(target: string): string {
  if (target.startsWith('/')) return target;
  const path = /^https?:\/\/[^/?#]*(.*)$/i.exec(target)?.[1];
  return path === undefined ? target : path.startsWith('/') ? path : `/${path}`;
}
