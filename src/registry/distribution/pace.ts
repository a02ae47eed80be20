import { OtaError } from '../../errors.js';

/** Far below the slowest link that firmware comes by: such a body is held open, not sent. */
const MIN_BYTES_PER_SECOND = 1024;

/**
 * How fast a body comes, over all of the connections that it takes. A silence has its own limit; this one is for a body
 * that never falls silent, a byte at a time.
 */
export class Pace {
  /** Since the first piece: until then other deadlines hold, and a registry may have asked to wait. */
  private sinceMs: number | undefined;
  private bytes = 0;

  constructor(
    private readonly what: string,
    /** How long a body may come too slowly. */
    private readonly windowMs: number,
  ) {}

  /**
   * The pieces of `body`. The time that the reader takes for a piece does not count.
   *
   * @throws OtaError `unavailable` when too few bytes came within the time
   */
  async *of(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of body) {
      this.count(piece.length);
      const givenMs = performance.now();
      yield piece;
      if (this.sinceMs !== undefined) this.sinceMs += performance.now() - givenMs;
    }
  }

  private count(bytes: number): void {
    this.bytes += bytes;
    this.sinceMs ??= performance.now();
    const elapsedMs = performance.now() - this.sinceMs;
    if (elapsedMs < this.windowMs) return;
    const perSecond = (this.bytes * 1000) / elapsedMs;
    if (perSecond < MIN_BYTES_PER_SECOND)
      throw new OtaError(
        'unavailable',
        `${this.what} comes with ${Math.round(perSecond)} bytes a second, expected at least ${MIN_BYTES_PER_SECOND}. Check the network and the storage of the registry`,
      );
    this.sinceMs += elapsedMs;
    this.bytes = 0;
  }
}
