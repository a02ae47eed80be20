import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Functions to call if a connection closes before it was assigned to their response. */
const waiting = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `over` once, when `response` was sent or its client has left. A response that waits in a pipeline emits no
 * `close` when its client leaves, so this also listens to its connection, with one listener for all responses.
 */
export function whenOver(socket: Socket, response: ServerResponse, over: () => void): void {
  if (response.socket) {
    response.once('close', over);
    return;
  }
  let callbacks = waiting.get(socket);
  if (!callbacks) {
    const made = (callbacks = new Set());
    waiting.set(socket, made);
    socket.once('close', () => {
      for (const callback of made) callback();
    });
  }
  const all = callbacks;
  all.add(over);
  response.once('socket', () => {
    all.delete(over);
    response.once('close', over);
  });
}
