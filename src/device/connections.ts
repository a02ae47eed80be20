import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { isDownload } from '../delivery/index.js';
import { after } from '../timers.js';

/**
 * The connections of a server, so that it can end without cutting one.
 *
 * `http.Server.close()` destroys a connection whose answer was `end()`ed but is not flushed yet (measured on Node 20.20:
 * 3.9 of 30 MB reached a slow reader), so the listener is closed as a plain `net.Server`, and each socket is ended
 * behind what it still has to send.
 */
export class Connections {
  /** The answer that each connection was given last: on one connection they end in order, so it is the last to end. */
  private readonly last = new Map<Socket, ServerResponse | undefined>();
  /** The answer that has the connection, where others wait behind it in a pipeline; else it is the last one. */
  private readonly owners = new WeakMap<Socket, ServerResponse>();
  /** Below TLS, so that a handshake that never ends holds up nothing. */
  private readonly accepted = new Set<Socket>();
  private draining = false;

  constructor(private readonly server: Server | TlsServer) {
    // With TLS, requests come over a socket of their own around the one that was accepted.
    server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.last.set(socket, undefined);
      // With TLS only now: a client that leaves in the middle of its handshake is to be let go at once.
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

  /** Whether an answer is on its way over `socket`: what is written there now would be taken for a part of it. */
  isAnswering(socket: Socket): boolean {
    return this.last.get(socket)?.writableFinished === false;
  }

  /** Notes a request; called before it is answered. On the hot path: no listener as long as nothing ends. */
  begin({ socket }: IncomingMessage, response: ServerResponse): void {
    if (response.socket) this.owners.delete(socket);
    else this.wait(socket, response);
    this.last.set(socket, response);
    if (!this.draining) return;
    response.shouldKeepAlive = false;
    this.endBehind(socket, response);
  }

  /** Notes a response that gets its connection only when those before it have gone out. */
  private wait(socket: Socket, response: ServerResponse): void {
    const last = this.last.get(socket);
    if (last && !this.owners.has(socket)) this.owners.set(socket, last);
    response.once('socket', () => this.owners.set(socket, response));
  }

  /**
   * A client that closes its half may want the answer that is under way (nc -N, small TCP stacks), or may be gone: nobody can
   * tell. So what is on its way goes out, with what waits behind it; where nothing is, the client is taken to be gone.
   */
  private halfClosed(socket: Socket): void {
    const response = this.owners.get(socket) ?? this.last.get(socket);
    if (response && (response.headersSent || isDownload(response))) return;
    socket.end();
  }

  /** Accepts no more connections, lets answers run to their end, and resolves when all is gone or `graceMs` are over. */
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

  /** Ends `socket` once `response` has gone out whole, if no other one was begun behind it. */
  private endBehind(socket: Socket, response: ServerResponse | undefined): void {
    if (!response || response.writableFinished) socket.destroySoon();
    else
      response.once('close', () => {
        if (this.last.get(socket) === response) socket.destroySoon();
      });
  }
}
