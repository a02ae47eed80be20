import type { BoundedEntries, Entry, Reservation } from './bounded-entries.js';

/** Room is reserved in steps of this size if the total size is not known. */
const STEP_BYTES = 1024 * 1024;

/** Collects firmware in memory while it is received. Gives up if the cache cannot make room. */
export class MemorySink {
  private readonly whole: Buffer | undefined;
  private readonly pieces: Buffer[] = [];
  private room: Reservation | undefined;
  private length = 0;

  /** @param sizeBytes the expected size, or undefined if it is not known */
  constructor(
    private readonly memory: Pick<BoundedEntries<Entry>, 'reserve'>,
    sizeBytes: number | undefined,
  ) {
    this.room = memory.reserve(sizeBytes ?? STEP_BYTES) ?? (sizeBytes === undefined ? memory.reserve(0) : undefined);
    this.whole = this.room && sizeBytes !== undefined ? Buffer.allocUnsafeSlow(sizeBytes) : undefined;
  }

  /** False after there was no more room. Then nothing more is collected. */
  get isOpen(): boolean {
    return this.room !== undefined;
  }

  write(piece: Buffer): void {
    if (!this.room || !this.makeRoom(this.length + piece.length)) return;
    if (this.whole) piece.copy(this.whole, this.length);
    else this.pieces.push(piece);
    this.length += piece.length;
  }

  /**
   * Returns all bytes and releases their reserved room, so that an entry can take it. Returns undefined if the bytes
   * did not fit, or if fewer arrived than expected.
   */
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
