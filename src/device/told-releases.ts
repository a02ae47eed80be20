import type { Socket } from 'node:net';
import { TOLD_MS, type Release } from '../firmware/index.js';

/** Devices behind one connection: a proxy may bring many, and the longest unheard is forgotten first. */
const MAX_DEVICES = 64;

interface Told {
  release: Release;
  /** On the clock of `performance.now()`. */
  atMs: number;
}

/** What each connection was told, so that its `/firmware` brings what its `/version` promised (CONTRACT, device rule 5). */
export class ToldReleases {
  private readonly connections = new WeakMap<Socket, Map<string, Told>>();

  tell(socket: Socket, release: Release, nowMs: number): void {
    let told = this.connections.get(socket);
    if (!told) this.connections.set(socket, (told = new Map<string, Told>()));
    const known = told.get(release.device);
    if (known) {
      known.release = release;
      known.atMs = nowMs;
      return;
    }
    told.set(release.device, { release, atMs: nowMs });
    const oldest = told.size > MAX_DEVICES ? told.keys().next().value : undefined;
    if (oldest !== undefined) told.delete(oldest);
  }

  /** What `socket` was last told about `device`, for ten minutes: a proxy's connection may live for days. */
  toldTo(socket: Socket, device: string, nowMs: number): Release | undefined {
    const told = this.connections.get(socket)?.get(device);
    return told && nowMs - told.atMs < TOLD_MS ? told.release : undefined;
  }
}
