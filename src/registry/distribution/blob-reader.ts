import { OtaError, reasonOf } from '../../errors.js';
import { delay } from '../../timers.js';
import { hasherFor, type Descriptor } from '../../oci/index.js';
import { WrongSize } from '../wrong-size.js';
import { codingsOf, decoded } from './body.js';
import { failureOf } from './failure.js';
import { Pace } from './pace.js';
import { retryWaitMs } from './retry.js';
import { abandon, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

/** Statuses with which servers refuse a range that they should have ignored. */
const REFUSALS_OF_RANGES: readonly number[] = [400, 405, 416, 501];
/** A download is given up after so many interruptions in a row without any progress in between. */
const MAX_BREAKS = 5;

/**
 * Yields the bytes of `blob`, and checks their size and digest. An interrupted download is resumed with `Range`. If the
 * server does not support it, the download starts again and skips the bytes that were received. The digest covers the
 * combined bytes.
 *
 * @param windowMs how long a body may be too slow before the download is given up
 * @throws OtaError `protocol` if size or digest differ, `unavailable` if the bytes do not arrive
 */
export async function* readBlob(
  transport: Transport,
  request: RegistryRequest,
  blob: Descriptor,
  windowMs: number,
): AsyncGenerator<Buffer, void, undefined> {
  const pace = new Pace(blob.digest, windowMs);
  const hash = hasherFor(blob.digest);
  const source = { takesRanges: true };
  let received = 0;
  for (let breaks = 0; received < blob.size || breaks === 0;) {
    const before = received;
    try {
      for await (const chunk of pace.of(piecesFrom(transport, request, blob, received, source))) {
        received += chunk.length;
        if (received > blob.size)
          throw new OtaError(
            'protocol',
            `${blob.digest} is longer than its ${blob.size} bytes. Check the registry and its storage`,
          );
        hash.update(chunk);
        yield chunk;
      }
      if (received === blob.size) break;
      if (received === before)
        throw new OtaError(
          'protocol',
          `${blob.digest} ends after ${received} of ${blob.size} bytes. Check the registry and its storage`,
        );
      if (performance.now() > request.deadlineMs)
        throw new OtaError(
          'unavailable',
          `${blob.digest} came too slowly: ${received} of ${blob.size} bytes. Check the network; --registry-timeout is the limit`,
        );
      // The server sent less than requested, or an interruption looks like an end: requests the rest.
      breaks = 1;
    } catch (error) {
      breaks = received > before ? 1 : breaks + 1;
      if (!isBreak(error) || breaks > MAX_BREAKS || request.signal.aborted || performance.now() > request.deadlineMs) {
        throw OtaError.from(
          error,
          'unavailable',
          `the download of ${blob.digest} broke off after ${received} of ${blob.size} bytes`,
        );
      }
      await delay(retryWaitMs(breaks), request.signal).catch((cause: unknown) => {
        throw new OtaError('unavailable', `the download of ${blob.digest} was cancelled: ${reasonOf(error)}`, {
          cause,
        });
      });
    }
  }
  if (`${blob.digest.split(':')[0] ?? ''}:${hash.digest('hex')}` !== blob.digest) {
    throw new OtaError(
      'protocol',
      `content is not ${blob.digest}: its bytes have another digest. Check the registry and its storage`,
    );
  }
}

/** A response with an error is final, because the retry layer has handled it. An interrupted stream is not. */
function isBreak(error: unknown): boolean {
  return !(error instanceof OtaError);
}

async function* piecesFrom(
  transport: Transport,
  request: RegistryRequest,
  blob: Descriptor,
  offset: number,
  source: { takesRanges: boolean },
): AsyncGenerator<Buffer> {
  const ranged = offset > 0 && source.takesRanges;
  const headers = { ...request.headers, ...(ranged && { range: `bytes=${offset}-` }) };
  const response = await transport.send({ ...request, headers });
  const codings = codingsOf(response);
  let body = response.body as AsyncIterable<Buffer>;
  let skip = 0;
  if (response.status === 206 && codings.length === 0 && header(response, 'content-range') !== undefined) {
    checkContentRange(response, offset, blob);
  } else if (response.status === 200) {
    // If it has the length of the blob, it is the blob. Some storage declares it as compressed because its content is.
    if (codings.length > 0 && Number(header(response, 'content-length')) !== blob.size) {
      source.takesRanges = false;
      body = decoded(response);
    } else checkLength(response, blob);
    skip = offset;
  } else if (ranged && (response.status === 206 || REFUSALS_OF_RANGES.includes(response.status))) {
    // A range of compressed bytes, an unknown range, or none: starts from the beginning.
    source.takesRanges = false;
    abandon(response);
    throw new Error(`the registry does not send a part of the blob: status ${response.status}`);
  } else throw await failureOf(response, `blob ${blob.digest}`);
  for await (const chunk of body) {
    if (skip >= chunk.length) skip -= chunk.length;
    else {
      yield skip > 0 ? chunk.subarray(skip) : chunk;
      skip = 0;
    }
  }
}

function checkContentRange(response: RegistryResponse, offset: number, { size }: Descriptor): void {
  const range = header(response, 'content-range') ?? '';
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/i.exec(range.trim()) ?? [];
  if (Number(start) === offset && (total === '*' || Number(total) === size)) return;
  abandon(response);
  throw new OtaError(
    'protocol',
    `the registry was asked for the bytes from ${offset} of ${size}, and answered Content-Range ${JSON.stringify(range.slice(0, 100))}. Check proxies in front of it`,
  );
}

function checkLength(response: RegistryResponse, blob: Descriptor): void {
  const length = header(response, 'content-length');
  if (length === undefined || Number(length) === blob.size) return;
  abandon(response);
  throw new WrongSize(
    `${blob.digest} is offered with ${length} bytes, expected ${blob.size}. Check the registry and its storage`,
    Number(length),
  );
}
