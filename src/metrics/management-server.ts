import { CanActivate, ExecutionContext, Injectable, Logger, NotFoundException } from '@nestjs/common';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ListenAddress } from '../config/index.js';
import { contextOf, requestContext } from '../request-context.js';

const managed = new WeakSet<IncomingMessage>();

/** The second port: the same control plane without the device plane, and with what only operators should see. */
@Injectable()
export class ManagementServer {
  private readonly logger = new Logger('ManagementServer');
  private server: Server | undefined;

  /** Listens; resolves to the address in use. */
  async listen(
    { host, port }: ListenAddress,
    controlPlane: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<AddressInfo> {
    const server = createServer((request, response) => {
      managed.add(request);
      const context = contextOf(request.headers);
      response.setHeader('X-Request-Id', context.requestId);
      requestContext.run(context, controlPlane, request, response);
    });
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, host, resolve);
    });
    server.on('error', (error) => {
      this.logger.error({ event: 'management.failed', reason: error.message });
    });
    return server.address() as AddressInfo;
  }

  /** Ends at once; probes and scrapes are asked again. */
  async close(): Promise<void> {
    const { server } = this;
    if (!server?.listening) return;
    await new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
      server.closeAllConnections();
    });
  }
}

/** Whether a request came by the management port. */
export function isManaged(request: IncomingMessage): boolean {
  return managed.has(request);
}

/** Lets a route answer on the management port only; on the device port it does not exist. */
@Injectable()
export class ManagementOnly implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<IncomingMessage>();
    if (!isManaged(request)) throw new NotFoundException(`Cannot ${request.method ?? 'GET'} ${request.url ?? '/'}`);
    return true;
  }
}
