import type { Socket } from 'node:net';
import { TOLD_MS, type Release } from '../firmware/index.js';

/** Devices behind one connection: a proxy may bring many, and the longest unheard is forgotten first. */
const MAX_DEVICES = 64;

interface Offered {
  release: Release;
  /** On the clock of `performance.now()`. */
  atMs: number;
}

/** What was offered on each connection, so that a download brings what was promised (CONTRACT, device rule 5). */
export class OfferedReleases {
  private readonly connections = new WeakMap<Socket, Map<string, Offered>>();

  note(socket: Socket, release: Release, nowMs: number): void {
    let offered = this.connections.get(socket);
    if (!offered) this.connections.set(socket, (offered = new Map<string, Offered>()));
    const known = offered.get(release.device);
    if (known) {
      known.release = release;
      known.atMs = nowMs;
      if (offered.size === 1) return;
      offered.delete(release.device);
      offered.set(release.device, known);
      return;
    }
    offered.set(release.device, { release, atMs: nowMs });
    const oldest = offered.size > MAX_DEVICES ? offered.keys().next().value : undefined;
    if (oldest !== undefined) offered.delete(oldest);
  }

  /**
   * What was last offered to `device` on `socket`, for ten minutes: a proxy's connection may live for days.
   *
   * @param sinceMs earlier offers do not count
   */
  on(socket: Socket, device: string, nowMs: number, sinceMs: number): Release | undefined {
    const offered = this.connections.get(socket)?.get(device);
    return offered && nowMs - offered.atMs < TOLD_MS && offered.atMs >= sinceMs ? offered.release : undefined;
  }
}
