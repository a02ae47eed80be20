import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';

/**
 * The connections of a server, so that it can end without cutting one.
 *
 * `http.Server.close()` destroys a connection whose answer was `end()`ed but is not flushed yet (measured on Node 20.20:
 * 3.9 of 30 MB reached a slow reader), so the listener is closed as a plain `net.Server`, and each socket is ended
 * behind what it still has to send.
 */
export class Connections {
  /** Requests without a finished answer, by socket. */
  private readonly active = new Map<Socket, number>();
  private draining = false;

  constructor(private readonly server: Server) {
    server.on('connection', (socket: Socket) => {
      this.active.set(socket, 0);
      socket.once('close', () => this.active.delete(socket));
    });
  }

  get isDraining(): boolean {
    return this.draining;
  }

  get count(): number {
    return this.active.size;
  }

  /** Notes a request; called before it is answered. */
  begin({ socket }: IncomingMessage, response: ServerResponse): void {
    this.active.set(socket, (this.active.get(socket) ?? 0) + 1);
    if (this.draining) response.shouldKeepAlive = false;
    response.once('close', () => {
      const left = (this.active.get(socket) ?? 1) - 1;
      if (this.active.has(socket)) this.active.set(socket, left);
      if (this.draining && left === 0) socket.destroySoon();
    });
  }

  /** Accepts no more connections, lets answers run to their end, and resolves when all is gone or `graceMs` are over. */
  async drain(graceMs: number): Promise<void> {
    this.draining = true;
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(this.server, () => {
        resolve();
      });
    });
    for (const [socket, requests] of this.active) if (requests === 0) socket.destroySoon();
    const timer = setTimeout(() => {
      for (const socket of this.active.keys()) socket.destroy();
    }, graceMs);
    await closed;
    clearTimeout(timer);
  }
}
