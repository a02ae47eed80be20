import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { codeOf } from '../errors.js';
import { makeFolder } from '../folders.js';

/** Name of the socket in a folder. The owner listens on it as long as it lives. */
const SOCKET = 'owner';
/** Replaces the machine in the name of a folder that has no socket. */
const UNOWNED = 'unowned';
/** Length that sockaddr_un accepts on every system. */
const MAX_SOCKET_PATH_BYTES = 103;

/**
 * A folder that belongs to one process. A socket in it shows whether that process lives, because the kernel closes the
 * socket with the process. A process id would not show it: the next process, or a process in another container, may
 * have the same id.
 */
export class OwnedFolder {
  private static readonly open = new Set<OwnedFolder>();

  private constructor(
    readonly path: string,
    private readonly server: Server | undefined,
  ) {
    if (OwnedFolder.open.size === 0) process.on('exit', OwnedFolder.removeAll);
    OwnedFolder.open.add(this);
  }

  /** Creates a folder in `parent` whose name begins with `prefix`. It is removed when the process exits. */
  static async create(parent: string, prefix: string): Promise<OwnedFolder> {
    await makeFolder(parent);
    // The folder gets its name after its socket listens, so that no other process considers its owner dead.
    const fresh = await mkdtemp(join(parent, 'otaflux-'));
    const owned = join(parent, `${prefix}${machine()}-${randomBytes(6).toString('hex')}`);
    const fits = Buffer.byteLength(join(owned, SOCKET)) <= MAX_SOCKET_PATH_BYTES;
    const server = fits ? await listen(join(fresh, SOCKET)) : undefined;
    const path = server ? owned : join(parent, `${prefix}${UNOWNED}-${randomBytes(6).toString('hex')}`);
    await rename(fresh, path);
    return new OwnedFolder(path, server);
  }

  /**
   * Removes the folders in `parent` whose names begin with `prefix` and whose owner is dead.
   *
   * @param unusedMs age from which folders are removed whose owner cannot be checked: folders of another machine, and
   *   folders without a socket. Undefined if `parent` belongs to this machine alone, so that every socket can be
   *   checked
   */
  static async removeDead(parent: string, prefix: string, unusedMs?: number): Promise<void> {
    const names = await readdir(parent).catch(() => []);
    for (const name of names.filter((one) => one.startsWith(prefix))) {
      const path = join(parent, name);
      const asked = unusedMs === undefined || name.startsWith(`${prefix}${machine()}-`);
      const dead = (asked ? await isDead(join(path, SOCKET)) : undefined) ?? (await isUnused(path, unusedMs));
      if (dead) await rm(path, { recursive: true, force: true }).catch(() => undefined);
    }
  }

  /** Removes the folder and its content. Open files can still be read to their end. */
  async remove(): Promise<void> {
    this.leave();
    await rm(this.path, { recursive: true, force: true });
  }

  private leave(): void {
    OwnedFolder.open.delete(this);
    if (OwnedFolder.open.size === 0) process.off('exit', OwnedFolder.removeAll);
    this.server?.close();
  }

  private static readonly removeAll = (): void => {
    for (const { path } of OwnedFolder.open) rmSync(path, { recursive: true, force: true });
  };
}

/** Listens without keeping the process alive. Returns undefined if the file system does not support sockets. */
async function listen(path: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy()).unref();
  return new Promise((resolve) => {
    server.once('error', () => {
      resolve(undefined);
    });
    server.listen(path, () => {
      resolve(server);
    });
  });
}

/**
 * Returns whether no process listens on the socket. Returns undefined if that cannot be determined, for example because
 * the socket belongs to another user or does not exist.
 */
async function isDead(socketPath: string): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error) => {
      resolve(codeOf(error) === 'ECONNREFUSED' ? true : undefined);
    });
  });
}

async function isUnused(folder: string, unusedMs: number | undefined): Promise<boolean> {
  return unusedMs !== undefined && Date.now() - (await lastChangeMs(folder)) > unusedMs;
}

/** Returns when the folder, or a file in it, was last written to. */
async function lastChangeMs(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const paths = [folder, ...names.map((name) => join(folder, name))];
  const times = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  return Math.max(...times.map((one) => one?.mtimeMs ?? 0));
}

let thisMachine: string | undefined;

/**
 * Returns an id of this machine since its last boot. It is the same in all containers of the machine, whose sockets can
 * be checked from here.
 */
function machine(): string {
  thisMachine ??= createHash('sha256').update(bootId()).digest('hex').slice(0, 12);
  return thisMachine;
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1');
  } catch {
    return hostname();
  }
}
