import { Logger } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Lease } from '../cache/index.js';
import { codeOf, OtaError, reasonOf } from '../errors.js';
import type { Release, ReleaseService } from '../firmware/index.js';
import type { RouteMeter } from '../metrics/index.js';
import type { Limits } from './limits/limits.js';
import { preconditionFailed, rangeNotSatisfiable } from './answers.js';
import { allowsRange, evaluateConditions } from './conditions.js';
import type { DeviceRequest } from './device-protocol.js';
import { prepare, type Prepared } from './prepared.js';
import { parseRange, type ByteRange } from './range.js';

/** Sends firmware, whole or in part. */
export class FirmwareSender {
  private readonly logger = new Logger('FirmwareSender');

  constructor(
    private readonly releases: ReleaseService,
    private readonly limits: Limits,
    private readonly meter: RouteMeter,
  ) {}

  /** Answers with `release`, whose bytes are in the store; throws a DeviceRefusal or OtaError before anything was sent. */
  send(release: Release, request: DeviceRequest, response: ServerResponse): void {
    const { headers } = request.raw;
    const answers = prepare(release);
    const outcome = evaluateConditions(headers, answers.validators);
    if (outcome === 'precondition-failed') throw preconditionFailed();
    if (outcome === 'not-modified') {
      response.writeHead(304, answers.common as string[]).end();
      return;
    }
    const sizeBytes = release.firmware.sizeBytes;
    // Range is defined for GET only (RFC 9110, section 14.2).
    const ranged =
      request.method === 'GET' &&
      headers.range !== undefined &&
      allowsRange(headers['if-range'] as string | undefined, answers.validators);
    const range = ranged ? parseRange(headers.range, sizeBytes) : 'whole';
    if (range === 'unsatisfiable') throw rangeNotSatisfiable(sizeBytes);
    if (request.method === 'HEAD') response.writeHead(200, answers.whole as string[]).end();
    else this.sendBytes(release, range, answers, response);
  }

  private sendBytes(release: Release, range: ByteRange | 'whole', answers: Prepared, response: ServerResponse): void {
    const lease = this.releases.open(release);
    if (!lease)
      throw new OtaError('unavailable', `${release.device} ${release.version} was dropped from the cache just now`);
    this.limits.downloadBegins();
    response.once('close', () => {
      this.limits.downloadEnds();
      lease.release();
    });
    const { sizeBytes } = release.firmware;
    const { start, end } = range === 'whole' ? { start: 0, end: sizeBytes - 1 } : range;
    if (range === 'whole') response.writeHead(200, answers.whole as string[]);
    else response.writeHead(206, partHeaders(range, sizeBytes, answers));
    this.meter.bytes += end - start + 1;
    if (lease.bytes) response.end(range === 'whole' ? lease.bytes : lease.bytes.subarray(start, end + 1));
    else void this.pipe(lease, start, end, release, response);
  }

  /** From disk. A device that goes away in the middle is normal; a disk that does not give the bytes is not. */
  private async pipe(
    lease: Lease,
    start: number,
    end: number,
    release: Release,
    response: ServerResponse,
  ): Promise<void> {
    try {
      await pipeline(lease.read(start, end), response);
    } catch (error) {
      if (codeOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE')
        this.logger.error({
          event: 'firmware.read_failed',
          device: release.device,
          version: release.version,
          reason: reasonOf(error),
        });
      response.destroy();
    }
  }
}

function partHeaders({ start, end }: ByteRange, sizeBytes: number, answers: Prepared): string[] {
  return [
    'Content-Type',
    'application/octet-stream',
    'Content-Length',
    String(end - start + 1),
    'Content-Range',
    `bytes ${start}-${end}/${sizeBytes}`,
    ...answers.common,
  ];
}
