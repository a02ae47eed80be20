import { Injectable } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { OtaError } from '../errors.js';
import { ReleaseService, type Release } from '../firmware/index.js';
import { closeStream } from './download.js';
import { withPatience } from './patience.js';

/** Reads the firmware of releases, for protocols whose responses depend on its content. */
@Injectable()
export class ReleaseReader {
  constructor(private readonly releases: ReleaseService) {}

  /**
   * Yields the beginning of the firmware of `release`, at most `maxBytes`. Waits until it is in the cache. Throws
   * OtaError if it cannot be read.
   */
  async *read(release: Release, maxBytes: number): AsyncGenerator<Buffer, void, undefined> {
    await withPatience(Promise.resolve(this.releases.deliverable(release)));
    const lease = this.releases.open(release);
    if (!lease)
      throw new OtaError(
        'unavailable',
        `${release.device} ${release.version} was removed from the cache while it was read. Raise --cache-memory or --cache-disk`,
      );
    let stream: Readable | undefined;
    try {
      if (lease.bytes) {
        yield lease.bytes.subarray(0, maxBytes);
        return;
      }
      stream = lease.read(0, Math.min(release.firmware.sizeBytes, maxBytes) - 1);
      yield* stream as AsyncIterable<Buffer>;
    } finally {
      if (stream) closeStream(stream);
      lease.release();
    }
  }
}
