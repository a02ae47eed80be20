import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What is to be called when a connection closes before the response that it is about was given it. */
const waiting = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `over` once, when `response` has gone out or its client has left. A response that waits in a pipeline behind
 * another emits no `close` when its client leaves, so its connection is listened to as well: by one listener for all of them.
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
