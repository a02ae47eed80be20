import type { BoundedEntries, Entry, Reservation } from './bounded-entries.js';

/** Room is asked for in steps of this size when nobody knows how much is coming. */
const STEP_BYTES = 1024 * 1024;

/** Collects firmware in memory while it comes in, within the room that the cache can make; gives up when there is none. */
export class MemorySink {
  private readonly whole: Buffer | undefined;
  private readonly pieces: Buffer[] = [];
  private room: Reservation | undefined;
  private length = 0;

  /** @param sizeBytes how much is coming, or undefined when nobody knows */
  constructor(
    private readonly memory: Pick<BoundedEntries<Entry>, 'reserve'>,
    sizeBytes: number | undefined,
  ) {
    this.room = memory.reserve(sizeBytes ?? STEP_BYTES) ?? (sizeBytes === undefined ? memory.reserve(0) : undefined);
    this.whole = this.room && sizeBytes !== undefined ? Buffer.allocUnsafeSlow(sizeBytes) : undefined;
  }

  /** False once there was no more room: nothing is collected any more. */
  get isOpen(): boolean {
    return this.room !== undefined;
  }

  write(piece: Buffer): void {
    if (!this.room || !this.makeRoom(this.length + piece.length)) return;
    if (this.whole) piece.copy(this.whole, this.length);
    else this.pieces.push(piece);
    this.length += piece.length;
  }

  /** All that came, the room for it given back to be taken by an entry; undefined when it did not fit, or less came than was said. */
  take(): Buffer | undefined {
    if (!this.room || (this.whole && this.length !== this.whole.length)) return undefined;
    const bytes = this.whole ?? Buffer.concat(this.pieces, this.length);
    this.close();
    return bytes;
  }

  close(): void {
    this.room?.release();
    this.room = undefined;
    this.pieces.length = 0;
  }

  private makeRoom(length: number): boolean {
    if (!this.room || length <= this.room.sizeBytes) return this.room !== undefined;
    const grown = Math.max(length, this.room.sizeBytes * 2);
    this.room.release();
    this.room = this.whole ? undefined : (this.memory.reserve(grown) ?? this.memory.reserve(length));
    if (!this.room) this.pieces.length = 0;
    return this.room !== undefined;
  }
}
