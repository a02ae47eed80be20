import { close, createReadStream, fstatSync, futimesSync, openSync, read, statSync, type BigIntStats } from 'node:fs';
import type { Readable } from 'node:stream';

type ReadDone = (error: Error | null, bytesRead: number, buffer: Buffer) => void;

/** Properties of a file that change when it is written to or replaced. */
export interface Stamp {
  readonly sizeBytes: number;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** Returns the stamp of the file at `path`, or undefined if it does not exist. Takes some microseconds. */
export function stampAt(path: string): Stamp | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && stampOf(stats);
}

export function sameStamp(a: Stamp, b: Stamp): boolean {
  return a.sizeBytes === b.sizeBytes && a.ino === b.ino && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

/**
 * An open file. It stays readable while it is used, even if its name is removed or given to another file. It is closed
 * when it was released and every stream of it has ended.
 */
export class StoredFile {
  private users = 1;
  private readonly descriptor: number;

  /** Throws the error of the file system. */
  constructor(
    path: string,
    private readonly onFailure: () => void = () => undefined,
  ) {
    this.descriptor = openSync(path, 'r');
  }

  /** Marks the file as used now, so that the next run drops it later than other files. */
  touch(): void {
    const now = new Date();
    try {
      futimesSync(this.descriptor, now, now);
    } catch {
      // Not our file, or a file system without times. The only effect is that it is dropped earlier.
    }
  }

  stamp(): Stamp {
    return stampOf(fstatSync(this.descriptor, { bigint: true }));
  }

  /** Returns the bytes from `start` to `end`, both inclusive. The stream fails if the file has fewer bytes. */
  read(start: number, end: number): Readable {
    this.users++;
    return createReadStream('', {
      fd: this.descriptor,
      start,
      end,
      fs: {
        read: (fd: number, into: Buffer, offset: number, length: number, position: number, done: ReadDone) => {
          read(fd, into, offset, length, position, (error, bytesRead) => {
            const failure =
              error ??
              (bytesRead === 0
                ? new Error(
                    `a file in the cache folder is shorter than it was: it ends before byte ${end}. Check the disk, and other programs that write there`,
                  )
                : null);
            if (failure) this.onFailure();
            done(failure, bytesRead, into);
          });
        },
        close: (_descriptor: number, done: (error: null) => void) => {
          this.leave();
          done(null);
        },
      },
    });
  }

  release(): void {
    this.leave();
  }

  private leave(): void {
    if (--this.users === 0) close(this.descriptor, () => undefined);
  }
}

function stampOf({ size, ino, mtimeNs, ctimeNs }: BigIntStats): Stamp {
  return { sizeBytes: Number(size), ino, mtimeNs, ctimeNs };
}
