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

/** Answers a device request, or returns false to leave it to the control plane. */
export type DeviceHandler = (request: IncomingMessage, response: ServerResponse) => boolean;
/** Options of the device port. */
export interface ListenerOptions {
  /** Returns how long responses may continue after the server starts to close. */
  readonly graceMs: () => number;
  readonly headersTimeoutMs: number;
  /** Maximum number of connections. Undefined: only the limit of the system. */
  readonly maxConnections: number | undefined;
  /** Undefined for plain HTTP. */
  readonly tls: TlsFiles | undefined;
}

/** Called with each finished response and its duration. */
export type ControlPlaneObserver = (request: IncomingMessage, response: ServerResponse, durationMs: number) => void;
/** Answers a request that is not a device request: Express. */
export type ControlPlane = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * More than any device, proxy or webhook sender sends. Node's default is 16 KiB, for each connection that never ends
 * its headers.
 */
const MAX_HEADER_BYTES = 8 * 1024;
/** How often Node checks for clients that are too slow. */
const CHECK_MS = 30_000;
const MIN_CHECK_MS = 100;
const REQUEST_TIMEOUT_MS = 120_000;
/** Longer than the idle timeout of common load balancers (60 s), so that they close first. */
const KEEP_ALIVE_MS = 75_000;
/**
 * A reader may pause for a minute to erase flash. After five minutes it counts as gone. The total time is not limited.
 */
const SILENCE_MS = 300_000;

/** Time for a refused client to read the reason. */
const LINGER_MS = 2_000;

const BAD_REQUEST = 'Bad request: it is not valid HTTP';
const HEADERS_TOO_LARGE = 'Request header fields too large: send at most 8 KiB';
const REQUEST_TIMEOUT = 'Request timeout: the headers did not arrive in time';

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

  /** Opens the device plane. Called once, when the application is ready. */
  serveDevices(handler: DeviceHandler): void {
    this.handleDevice = handler;
  }

  /** Sets the function that is called with every response of the control plane on this port. */
  observeControlPlane(observer: ControlPlaneObserver): void {
    this.observer = observer;
  }

  /** Uses these certificates for new connections. Open connections are not affected. */
  renewTls(options: TlsOptions): void {
    if (this.httpServer instanceof TlsServer) this.httpServer.setSecureContext(options);
  }

  /** Sets the function that is called at every failed TLS handshake. */
  observeHandshakes(failed: () => void): void {
    this.handshakeFailures = failed;
  }

  /** Number of open connections on the device port. */
  get connectionCount(): number {
    return this.connections?.count ?? 0;
  }

  /** The control plane without the device plane, for the management port. */
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
      // Small clients omit Host, and nothing here depends on it.
      requireHostHeader: false,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    };
    const server = tls ? createTlsServer({ ...options, ...tls.options }, answer) : createServer(options, answer);
    // `Connections` handles clients that close their half of a connection.
    Object.assign(server, { httpAllowHalfOpen: true });
    if (maxConnections !== undefined) server.maxConnections = maxConnections;
    const connections = new Connections(server);
    this.connections = connections;
    server.setTimeout(SILENCE_MS);
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      if (connections.isAnswering(socket)) socket.destroy();
      else refuseBrokenRequest(error, socket);
    });
    // An unknown expectation is not a reason to refuse a device.
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
      server.emit('request', request, response),
    );
    server.on('tlsClientError', (_error: Error, socket: Socket) => {
      this.handshakeFailures();
      socket.destroy();
    });
    this.httpServer = server;
  }

  /**
   * Closes like `Connections.drain`, and then waits until the client has received everything that was sent, within the
   * grace time.
   */
  override async close(): Promise<void> {
    const server = this.httpServer as Server | undefined;
    if (!server?.listening) return;
    const { port } = server.address() as AddressInfo;
    await this.connections?.drain(this.listener.graceMs());
    await acknowledged(port, this.listener.graceMs());
  }
}

/** Returns an interval that is short enough for the timeout. A timeout of 0 means none. */
function checkEveryMs(headersTimeoutMs: number): number {
  return headersTimeoutMs === 0 ? CHECK_MS : Math.min(Math.max(headersTimeoutMs / 2, MIN_CHECK_MS), CHECK_MS);
}

/**
 * Closes the connection after errors of the control plane: a device that requests a wrong path also needs it to find
 * the end of the response.
 */
function closeBehindErrors(response: ServerResponse): void {
  const writeHead = response.writeHead.bind(response) as (...parameters: unknown[]) => ServerResponse;
  response.writeHead = (status: number, ...rest: unknown[]): ServerResponse => {
    if (status >= 400) response.shouldKeepAlive = false;
    return writeHead(status, ...rest);
  };
}

/**
 * Answers a request that Node's parser refuses, by the rules for all device responses: one exact length, and the
 * connection is closed.
 */
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
  // A client that keeps sending would keep the connection open.
  const timer = after(LINGER_MS, () => socket.destroy(), { background: true });
  socket.once('close', () => {
    timer.stop();
  });
}
