import { MAX_MESSAGE_BYTES } from './intake.js';

/** Frames, headers and the next messages in the same chunk. */
const MARGIN_BYTES = 1024 * 1024;
/** The largest message, with everything around it, that is collected in memory. */
export const MAX_COLLECTED_BYTES = MAX_MESSAGE_BYTES + MARGIN_BYTES;

interface Source {
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown;
  destroy(error?: Error): unknown;
}

/**
 * Ends connections on which a single message grows too large. Client libraries collect a message in memory before they
 * pass it on, whatever its size. Not for brokers that would send the same message again on the next connection.
 */
export class SizeGuard {
  private bytes = 0;

  constructor(socket: Source) {
    socket.on('data', (chunk) => {
      this.bytes += chunk.length;
      if (this.bytes > MAX_COLLECTED_BYTES)
        socket.destroy(new Error(`a message has more than ${MAX_MESSAGE_BYTES} bytes`));
    });
  }

  /** Called for each complete message. */
  passed(): void {
    this.bytes = 0;
  }
}
