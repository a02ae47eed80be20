import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { isDownload } from '../delivery/index.js';
import { after } from '../timers.js';

/**
 * The connections of a server. Closes them without interrupting a response.
 *
 * `http.Server.close()` destroys a connection whose response was `end()`ed but is not flushed yet (measured on Node
 * 20.20: 3.9 of 30 MB reached a slow reader). So the listener is closed as a plain `net.Server`, and each socket is
 * ended after everything was sent.
 */
export class Connections {
  /** The last response of each connection. Responses on one connection end in order, so it is the last one to end. */
  private readonly last = new Map<Socket, ServerResponse | undefined>();
  /** The response that owns the connection, if others wait behind it in a pipeline. Otherwise it is the last one. */
  private readonly owners = new WeakMap<Socket, ServerResponse>();
  /** The sockets below TLS, so that a handshake that never ends does not delay the shutdown. */
  private readonly accepted = new Set<Socket>();
  private draining = false;

  constructor(private readonly server: Server | TlsServer) {
    // With TLS, requests arrive on a socket that wraps the accepted one.
    server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.last.set(socket, undefined);
      // With TLS, only now: if a client leaves during its handshake, the connection is closed at once.
      socket.allowHalfOpen = true;
      socket.once('close', () => this.last.delete(socket));
      socket.once('end', () => {
        this.halfClosed(socket);
      });
    });
    if (!(server instanceof TlsServer)) return;
    server.on('connection', (socket: Socket) => {
      this.accepted.add(socket);
      socket.once('close', () => this.accepted.delete(socket));
    });
  }

  get count(): number {
    return this.last.size;
  }

  /** Returns whether a response is being sent over `socket`. Other data would be taken for a part of it. */
  isAnswering(socket: Socket): boolean {
    return this.last.get(socket)?.writableFinished === false;
  }

  /**
   * Notes a request. Called before it is answered. This is on the hot path, so it adds no listener unless the server is
   * closing.
   */
  begin({ socket }: IncomingMessage, response: ServerResponse): void {
    if (response.socket) this.owners.delete(socket);
    else this.wait(socket, response);
    this.last.set(socket, response);
    if (!this.draining) return;
    response.shouldKeepAlive = false;
    this.endBehind(socket, response);
  }

  /** Notes a response that owns its connection only after the responses before it were sent. */
  private wait(socket: Socket, response: ServerResponse): void {
    const last = this.last.get(socket);
    if (last && !this.owners.has(socket)) this.owners.set(socket, last);
    response.once('socket', () => this.owners.set(socket, response));
  }

  /**
   * Handles a client that has closed its half of the connection. It may still wait for the response (nc -N, small TCP
   * stacks), or may be gone. So responses in progress are sent, with those that wait behind them. If there is none, the
   * connection is closed.
   */
  private halfClosed(socket: Socket): void {
    const response = this.owners.get(socket) ?? this.last.get(socket);
    if (response && (response.headersSent || isDownload(response))) return;
    socket.end();
  }

  /**
   * Accepts no more connections and lets responses finish. Resolves when all connections are closed, or after
   * `graceMs`.
   */
  async drain(graceMs: number): Promise<void> {
    this.draining = true;
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(this.server, () => {
        resolve();
      });
    });
    for (const [socket, response] of this.last) this.endBehind(socket, response);
    const timer = after(graceMs, () => {
      for (const socket of [...this.last.keys(), ...this.accepted]) socket.destroy();
    });
    await closed;
    timer.stop();
  }

  /** Ends `socket` after `response` was sent completely, unless another response was started after it. */
  private endBehind(socket: Socket, response: ServerResponse | undefined): void {
    if (!response || response.writableFinished) socket.destroySoon();
    else
      response.once('close', () => {
        if (this.last.get(socket) === response) socket.destroySoon();
      });
  }
}
