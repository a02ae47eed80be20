import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { codeOf } from '../errors.js';

/** The socket in a folder that its owner listens on as long as it lives. */
const SOCKET = 'owner';
/** In place of the machine in the name of a folder that has no socket. */
const UNOWNED = 'unowned';
/** What sockaddr_un takes on every system. */
const MAX_SOCKET_PATH_BYTES = 103;

/**
 * A folder that belongs to one process. Whether that process lives is asked of a socket in it, which the kernel closes with
 * the process: a process id says nothing where the next process, or a neighbour in another container, has the same one.
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

  /** Makes a folder in `parent` whose name begins with `prefix`. It is removed when the process exits. */
  static async create(parent: string, prefix: string): Promise<OwnedFolder> {
    await mkdir(parent, { recursive: true });
    // It gets its name only when its socket listens: nobody takes it for one whose owner is dead.
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
   * @param unusedMs the age from which folders are removed whose owner cannot be asked: of another machine, or without a
   *   socket; undefined when `parent` belongs to this machine alone, so that every socket can be asked
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

  /** Removes it with what is in it. Files that are open can be read to their end. */
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

/** Listens without keeping the process alive; undefined where the file system has no sockets. */
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

/** Whether nobody listens any more; undefined when the socket does not say, such as one of another user, or none. */
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

/** When the folder or a file in it was last written to. */
async function lastChangeMs(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const paths = [folder, ...names.map((name) => join(folder, name))];
  const times = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  return Math.max(...times.map((one) => one?.mtimeMs ?? 0));
}

let thisMachine: string | undefined;

/** This machine since its last start, the same in all of its containers: whose sockets can be asked from here. */
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
