import { Injectable, Logger, UnauthorizedException, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Settings } from '../config/index.js';
import { isOneOf } from '../constant-time.js';

/** Longer paths are truncated in log lines. */
const MAX_TEXT = 128;

/** Allows requests with MANAGEMENT_TOKEN (RFC 6750). Without a token in the settings, allows all requests. */
@Injectable()
export class ManagementToken implements CanActivate {
  private readonly logger = new Logger('ManagementToken');
  private readonly tokens: readonly string[];

  constructor(settings: Settings) {
    this.tokens = settings.managementToken ?? [];
  }

  canActivate(context: ExecutionContext): boolean {
    if (this.tokens.length === 0) return true;
    const http = context.switchToHttp();
    const { headers, method, url = '', socket } = http.getRequest<IncomingMessage>();
    const token = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
    if (token !== undefined && isOneOf(token, this.tokens)) return true;
    http.getResponse<ServerResponse>().setHeader('WWW-Authenticate', 'Bearer realm="otaflux"');
    const reason =
      token === undefined
        ? 'the management token is missing. Send MANAGEMENT_TOKEN as Authorization: Bearer TOKEN'
        : 'the management token is wrong. Send MANAGEMENT_TOKEN as Authorization: Bearer TOKEN';
    const path = url.replace(/\?.*$/s, '').slice(0, MAX_TEXT);
    this.logger.warn({ event: 'management.unauthorized', method, path, address: socket.remoteAddress, reason });
    throw new UnauthorizedException(reason);
  }
}
