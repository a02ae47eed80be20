/**
 * Reads a stream of pieces by byte counts. It never ends its source. The code that opened the source does, because a
 * generator that never started cannot.
 */
export class ByteReader {
  private held: Buffer[] = [];
  private heldBytes = 0;
  private pulledBytes = 0;

  /**
   * @param source the pieces; only `next` is called
   * @param maxBytes maximum number of bytes to read
   * @param tooMany returns the error for more bytes
   */
  constructor(
    private readonly source: AsyncIterator<Buffer>,
    private readonly maxBytes = Infinity,
    private readonly tooMany: () => Error = () => new RangeError('too many bytes'),
  ) {}

  /** Returns the next `length` bytes without consuming them. Returns fewer only at the end. */
  async peek(length: number): Promise<Buffer> {
    while (this.heldBytes < length && (await this.pull()));
    const all = this.held.length === 1 && this.held[0] ? this.held[0] : Buffer.concat(this.held);
    this.held = all.length > 0 ? [all] : [];
    return all.subarray(0, length);
  }

  /** Returns the next `length` bytes. Returns fewer only at the end. */
  async read(length: number): Promise<Buffer> {
    const bytes = await this.peek(length);
    this.drop(bytes.length);
    return bytes;
  }

  /** Yields the next `length` bytes, or all that are left, piece by piece. */
  async *take(length = Infinity): AsyncGenerator<Buffer, void, undefined> {
    for (let left = length; left > 0 && (this.heldBytes > 0 || (await this.pull()));) {
      const piece = this.held[0]?.subarray(0, left) ?? Buffer.alloc(0);
      this.drop(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** Skips `length` bytes. Returns how many there were. */
  async skip(length = Infinity): Promise<number> {
    let skipped = 0;
    for await (const piece of this.take(length)) skipped += piece.length;
    return skipped;
  }

  private async pull(): Promise<boolean> {
    const next = await this.source.next();
    if (next.done) return false;
    this.pulledBytes += next.value.length;
    if (this.pulledBytes > this.maxBytes) throw this.tooMany();
    if (next.value.length > 0) this.held.push(next.value);
    this.heldBytes += next.value.length;
    return true;
  }

  private drop(length: number): void {
    this.heldBytes -= length;
    for (let left = length; left > 0;) {
      const first = this.held[0];
      if (!first) return;
      if (left < first.length) {
        this.held[0] = first.subarray(left);
        return;
      }
      left -= first.length;
      this.held.shift();
    }
  }
}
