import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** Bytes that are written to the connection at once. The count of sent bytes is exact to this size. */
const SLICE_BYTES = 256 * 1024;

/**
 * Calls `begin` once `response` owns its connection: at once, or after the responses before it in a pipeline. Never
 * calls it if the client leaves before. A response without a connection must not hold resources, because it emits no
 * `close` when its client leaves (Node's http pipelines).
 */
export function whenOwned(response: ServerResponse, begin: () => void): void {
  const beginIfOpen = (): void => {
    if (response.socket && !response.socket.destroyed && !response.closed) begin();
  };
  if (response.socket) beginIfOpen();
  // ServerResponse.assignSocket emits it, and then writes what was buffered so far.
  else
    response.once('socket', () => {
      process.nextTick(beginIfOpen);
    });
}

const begun = new WeakSet<ServerResponse>();

/** Returns whether `response` is sending firmware, or reading it. */
export const isDownload = (response: ServerResponse): boolean => begun.has(response);

/**
 * A response with firmware. It lasts from the moment at which the response owns its connection until one of them
 * closes.
 */
export class Download {
  private readonly socket: Socket | null;
  private readonly closers: (() => void)[] = [];
  private wake: () => void = () => undefined;
  private over = false;

  /**
   * @param taken called with the number of bytes that the connection has accepted
   * @param ended called once, with whether the connection has accepted the complete response
   */
  constructor(
    private readonly response: ServerResponse,
    private readonly taken: (bytes: number) => void,
    private readonly ended: (complete: boolean) => void,
  ) {
    this.socket = response.socket;
    begun.add(response);
    response.once('close', this.end);
    this.socket?.once('close', this.end);
  }

  /** Whether the client has left, or has received everything. */
  get isOver(): boolean {
    return this.over;
  }

  /** Calls `close` when the download ends, or at once if it has ended. */
  onEnd(close: () => void): void {
    if (this.over) close();
    else this.closers.push(close);
  }

  /** Sends `bytes` as the complete body. */
  sendBuffer(bytes: Buffer): void {
    this.sendFrom(bytes, 0);
  }

  /** Sends `first` and then `rest`, which have `sizeBytes` together. */
  async sendPieces(first: Buffer, rest: AsyncIterator<Buffer>, sizeBytes: number): Promise<void> {
    let left = sizeBytes;
    for (let piece: Buffer | undefined = first; piece;) {
      left -= piece.length;
      await this.write(piece, left === 0);
      if (this.over || left === 0) return;
      const next: IteratorResult<Buffer> = await rest.next();
      piece = next.done ? undefined : next.value;
    }
  }

  private sendFrom(bytes: Buffer, start: number): void {
    const end = Math.min(start + SLICE_BYTES, bytes.length);
    const slice = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
    if (end === bytes.length)
      this.response.end(slice, () => {
        this.taken(slice.length);
      });
    else
      this.response.write(slice, (error) => {
        if (error || this.over) return;
        this.taken(slice.length);
        this.sendFrom(bytes, end);
      });
  }

  /** Resolves when the connection accepts more data, or when the download is over. */
  private async write(piece: Buffer, isLast: boolean): Promise<void> {
    if (this.over) return;
    if (isLast) {
      this.response.end(piece, () => {
        this.taken(piece.length);
      });
      return;
    }
    const goesOn = this.response.write(piece, (error) => {
      if (!error) this.taken(piece.length);
    });
    if (goesOn) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      this.response.once('drain', resolve);
    });
  }

  private readonly end = (): void => {
    if (this.over) return;
    this.over = true;
    this.response.off('close', this.end);
    this.socket?.off('close', this.end);
    for (const close of this.closers) close();
    this.wake();
    this.ended(this.response.writableFinished);
  };
}

/** Closes a stream of firmware that is no longer needed, and ignores its errors. */
export function closeStream(stream: Readable): void {
  stream.on('error', () => undefined).destroy();
}
