import { CanActivate, ExecutionContext, Injectable, Logger, NotFoundException } from '@nestjs/common';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ListenAddress } from '../config/index.js';
import { contextOf, requestContext } from '../request-context.js';

const managed = new WeakSet<IncomingMessage>();

/** The management port: the control plane without the device plane, and with the routes that are for operators only. */
@Injectable()
export class ManagementServer {
  private readonly logger = new Logger('ManagementServer');
  private server: Server | undefined;

  /** Starts to listen. Resolves to the address in use. */
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

  /** Closes the port and its connections at once. Probes and scrapes are repeated by their senders. */
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

/** Returns whether a request came in on the management port. */
export function isManaged(request: IncomingMessage): boolean {
  return managed.has(request);
}

/** Guard of routes that exist on the management port only. On the device port they answer 404. */
@Injectable()
export class ManagementOnly implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<IncomingMessage>();
    if (!isManaged(request)) throw new NotFoundException(`Cannot ${request.method ?? 'GET'} ${request.url ?? '/'}`);
    return true;
  }
}
