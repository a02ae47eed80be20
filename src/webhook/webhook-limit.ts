import {
  HttpException,
  HttpStatus,
  Injectable,
  Optional,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Limits } from '../device/index.js';

/** Counts requests to /webhooks against the address limit for devices. Without Limits, there is no limit. */
@Injectable()
export class WebhookLimit implements CanActivate {
  constructor(@Optional() private readonly limits?: Limits) {}

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const waitMs = this.limits?.addressWaitMs(http.getRequest<IncomingMessage>(), performance.now()) ?? 0;
    if (waitMs > 0) throw this.refusal(http.getResponse<ServerResponse>(), waitMs);
    return true;
  }

  /** Counts a wrong secret. Returns the response if the address has sent too many, otherwise undefined. */
  wrongSecret(request: IncomingMessage, response: ServerResponse): HttpException | undefined {
    const waitMs = this.limits?.wrongSecretWaitMs(request, performance.now()) ?? 0;
    return waitMs > 0 ? this.refusal(response, waitMs) : undefined;
  }

  /** Returns the address of a request, for logs. */
  addressOf(request: IncomingMessage): string | undefined {
    return this.limits ? this.limits.addressOf(request) : request.socket.remoteAddress;
  }

  private refusal(response: ServerResponse, waitMs: number): HttpException {
    response.setHeader('Retry-After', String(Math.ceil(waitMs / 1000)));
    return new HttpException(
      'too many requests from this address. Wait for the time in Retry-After',
      HttpStatus.TOO_MANY_REQUESTS,
    );
  }
}
