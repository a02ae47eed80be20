import { MAX_MESSAGE_BYTES } from './intake.js';

/** Frames, headers and the next messages in the same chunk. */
const MARGIN_BYTES = 1024 * 1024;

interface Source {
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown;
  destroy(error?: Error): unknown;
}

/**
 * Ends connections on which a single message grows too large. Client libraries collect a message in memory before they
 * pass it on, whatever its size.
 */
export class SizeGuard {
  private bytes = 0;

  constructor(socket: Source) {
    socket.on('data', (chunk) => {
      this.bytes += chunk.length;
      if (this.bytes > MAX_MESSAGE_BYTES + MARGIN_BYTES)
        socket.destroy(new Error(`a message has more than ${MAX_MESSAGE_BYTES} bytes`));
    });
  }

  /** Called for each complete message. */
  passed(): void {
    this.bytes = 0;
  }
}
