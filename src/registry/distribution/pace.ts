import { OtaError } from '../../errors.js';

/** Far below the slowest connection for firmware. A slower body is only kept open. */
const MIN_BYTES_PER_SECOND = 1024;

/**
 * Measures the speed of a body over all connections that it needs. A silent connection has its own limit. This limit is
 * for a body that is never silent but very slow.
 */
export class Pace {
  /** Time of the first piece. Before it, other deadlines apply, and a registry may have asked to wait. */
  private sinceMs: number | undefined;
  private bytes = 0;

  constructor(
    private readonly what: string,
    /** How long a body may be too slow. */
    private readonly windowMs: number,
  ) {}

  /**
   * Yields the pieces of `body`. The time that the reader takes does not count.
   *
   * @throws OtaError `unavailable` if too few bytes arrived in the time
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
