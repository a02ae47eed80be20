import { ExpressAdapter } from '@nestjs/platform-express';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { contextOf, requestContext } from '../request-context.js';
import { after, timerMs } from '../timers.js';
import { Connections } from './connections.js';
import type { TlsFiles } from './tls/tls-files.js';
import { acknowledged } from './unacknowledged.js';

/** Answers a device request, or leaves it to the control plane by returning false. */
export type DeviceHandler = (request: IncomingMessage, response: ServerResponse) => boolean;
/** How the device port listens. */
export interface ListenerOptions {
  /** How long answers may go on once the server is told to close. */
  readonly graceMs: () => number;
  readonly headersTimeoutMs: number;
  /** No limit but the system's when undefined. */
  readonly maxConnections: number | undefined;
  /** Plain HTTP when undefined. */
  readonly tls: TlsFiles | undefined;
}

/** Told of a finished answer, and how long it took. */
export type ControlPlaneObserver = (request: IncomingMessage, response: ServerResponse, durationMs: number) => void;
/** Answers a request that is no device request: Express. */
export type ControlPlane = (request: IncomingMessage, response: ServerResponse) => void;

/** More than any device, proxy or webhook sender sends; Node's default of 16 KiB is per connection that never ends its headers. */
const MAX_HEADER_BYTES = 8 * 1024;
/** How often Node looks for clients that are too slow. */
const CHECK_MS = 30_000;
const MIN_CHECK_MS = 100;
const REQUEST_TIMEOUT_MS = 120_000;
/** Longer than the idle timeout of common load balancers (60 s), so that they close first. */
const KEEP_ALIVE_MS = 75_000;
/** A reader may stop to erase flash for a minute; one that stops for five has gone. There is no limit on the whole. */
const SILENCE_MS = 300_000;

/** For a refused client to read why. */
const LINGER_MS = 2_000;

const BAD_REQUEST = 'Bad request';
const HEADERS_TOO_LARGE = 'Request header fields too large';
const REQUEST_TIMEOUT = 'Request timeout';

/** Express for the control plane, with the device plane in front of it on the same socket (decision 1). */
export class DeviceHttpAdapter extends ExpressAdapter {
  private handleDevice: DeviceHandler = () => false;
  private connections: Connections | undefined;
  private observer: ControlPlaneObserver = () => undefined;
  private handshakeFailures: () => void = () => undefined;

  constructor(private readonly listener: ListenerOptions) {
    super();
    this.disable('x-powered-by');
    this.disable('etag');
  }

  /** Opens the device plane: called once, when the application is ready to answer. */
  serveDevices(handler: DeviceHandler): void {
    this.handleDevice = handler;
  }

  /** Names who is told of every answer of the control plane on this port. */
  observeControlPlane(observer: ControlPlaneObserver): void {
    this.observer = observer;
  }

  /** New connections are made with these certificates; those that are open stay as they are. */
  renewTls(options: TlsOptions): void {
    if (this.httpServer instanceof TlsServer) this.httpServer.setSecureContext(options);
  }

  /** Names who is told of every TLS handshake that failed. */
  observeHandshakes(failed: () => void): void {
    this.handshakeFailures = failed;
  }

  /** Connections of devices that are open now. */
  get connectionCount(): number {
    return this.connections?.count ?? 0;
  }

  /** The control plane without the devices, for the management port. */
  get controlPlane(): ControlPlane {
    return this.getInstance<ControlPlane>();
  }

  override initHttpServer(): void {
    const controlPlane = this.controlPlane;
    const { tls, headersTimeoutMs, maxConnections } = this.listener;
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      connections.begin(request, response);
      if (this.handleDevice(request, response)) return;
      closeBehindErrors(response);
      const startedMs = performance.now();
      response.once('close', () => {
        this.observer(request, response, performance.now() - startedMs);
      });
      const context = contextOf(request.headers);
      response.setHeader('X-Request-Id', context.requestId);
      requestContext.run(context, controlPlane, request, response);
    };
    const options = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: timerMs(headersTimeoutMs),
      requestTimeout: timerMs(Math.max(REQUEST_TIMEOUT_MS, headersTimeoutMs)),
      connectionsCheckingInterval: checkEveryMs(headersTimeoutMs),
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Small clients leave Host out, and nothing here depends on it.
      requireHostHeader: false,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    };
    const server = tls ? createTlsServer({ ...options, ...tls.options }, answer) : createServer(options, answer);
    // Who closes its half of a connection is looked at by `Connections`.
    Object.assign(server, { httpAllowHalfOpen: true });
    if (maxConnections !== undefined) server.maxConnections = maxConnections;
    const connections = new Connections(server);
    this.connections = connections;
    server.setTimeout(SILENCE_MS);
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      if (connections.isAnswering(socket)) socket.destroy();
      else refuseBrokenRequest(error, socket);
    });
    // An expectation that is not 100-continue is no reason to refuse a device.
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
      server.emit('request', request, response),
    );
    server.on('tlsClientError', (_error: Error, socket: Socket) => {
      this.handshakeFailures();
      socket.destroy();
    });
    this.httpServer = server;
  }

  /** Ends like `Connections.drain`, and when what was sent has arrived, within the grace time. */
  override async close(): Promise<void> {
    const server = this.httpServer as Server | undefined;
    if (!server?.listening) return;
    const { port } = server.address() as AddressInfo;
    await this.connections?.drain(this.listener.graceMs());
    await acknowledged(port, this.listener.graceMs());
  }
}

/** Often enough for the timeout to be kept, which 0 turns off. */
function checkEveryMs(headersTimeoutMs: number): number {
  return headersTimeoutMs === 0 ? CHECK_MS : Math.min(Math.max(headersTimeoutMs / 2, MIN_CHECK_MS), CHECK_MS);
}

/** A device that asks for a path that is not there needs the end of the connection as much as one that asks for a version. */
function closeBehindErrors(response: ServerResponse): void {
  const writeHead = response.writeHead.bind(response) as (...parameters: unknown[]) => ServerResponse;
  response.writeHead = (status: number, ...rest: unknown[]): ServerResponse => {
    if (status >= 400) response.shouldKeepAlive = false;
    return writeHead(status, ...rest);
  };
}

/** What Node's parser refuses, answered by the same rules as all else: one exact length, and the end of the connection. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, body] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', HEADERS_TOO_LARGE]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', REQUEST_TIMEOUT]
        : ['400 Bad Request', BAD_REQUEST];
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
  // One that goes on sending would hold its half of the connection, and ours, for ever.
  const timer = after(LINGER_MS, () => socket.destroy(), { background: true });
  socket.once('close', () => {
    timer.stop();
  });
}
