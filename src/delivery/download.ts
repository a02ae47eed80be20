import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { OtaError } from '../errors.js';

/** Bytes handed to the connection at once: what is counted as sent is exact to this. */
const SLICE_BYTES = 256 * 1024;

/**
 * Runs `begin` once `response` owns its connection: at once, or when the answers that stand before it in a pipeline have
 * gone out; never when its client leaves before that. A response without its connection holds nothing, because it emits
 * no `close` when its client leaves (Node's http pipelines).
 */
export function whenOwned(response: ServerResponse, begin: () => void): void {
  const beginIfOpen = (): void => {
    if (response.socket && !response.socket.destroyed && !response.closed) begin();
  };
  if (response.socket) beginIfOpen();
  // ServerResponse.assignSocket emits it, and then hands over what was written so far.
  else
    response.once('socket', () => {
      process.nextTick(beginIfOpen);
    });
}

const begun = new WeakSet<ServerResponse>();

/** Whether firmware is on its way by `response`, or is being read for it. */
export const isDownload = (response: ServerResponse): boolean => begun.has(response);

/** One answer with bytes of firmware, from when its response owns the connection until one of the two closes. */
export class Download {
  private readonly socket: Socket | null;
  private readonly closers: (() => void)[] = [];
  private wake: () => void = () => undefined;
  private over = false;

  /**
   * @param taken is called with the number of bytes that the connection has taken
   * @param ended is called once, with whether the connection has taken all of the answer
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

  /** Whether the client has left, or has got everything. */
  get isOver(): boolean {
    return this.over;
  }

  /** Has `close` called when the download ends, at once when it has ended. */
  onEnd(close: () => void): void {
    if (this.over) close();
    else this.closers.push(close);
  }

  /** Sends `bytes` as the whole body. */
  sendBuffer(bytes: Buffer): void {
    this.sendFrom(bytes, 0);
  }

  /**
   * Sends `first` and what follows it in `rest`, which are `sizeBytes` together. Rejects, and sends no byte more than
   * that, when they are not: the client would take the next answer for the rest of this one.
   */
  async sendPieces(first: Buffer, rest: AsyncIterator<Buffer>, sizeBytes: number): Promise<void> {
    let left = sizeBytes;
    for (let piece: Buffer | undefined = first; piece;) {
      left -= piece.length;
      if (left < 0)
        throw new OtaError(
          'unavailable',
          `the firmware store sent more than the ${sizeBytes} bytes that were requested. This is an error in the store`,
        );
      await this.write(piece, left === 0);
      if (this.over || left === 0) return;
      const next: IteratorResult<Buffer> = await rest.next();
      piece = next.done ? undefined : next.value;
    }
    throw new OtaError(
      'unavailable',
      `the firmware store sent ${left} bytes too few of ${sizeBytes}. This is an error in the store`,
    );
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

  /** Resolves when the connection takes more, or the download is over. */
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

/** Ends a stream of firmware that nobody reads on; what it says then is of no interest. */
export function closeStream(stream: Readable): void {
  stream.on('error', () => undefined).destroy();
}
