import { OtaError, reasonOf } from '../../errors.js';
import { delay } from '../../timers.js';
import { hasherFor, type Descriptor } from '../../oci/index.js';
import { failureOf } from './failure.js';
import { Pace } from './pace.js';
import { backoffMs } from './retry.js';
import { abandon, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

/** Broken reads in a row, without a byte of progress between them, before a download is given up. */
const MAX_BREAKS = 5;

/**
 * The bytes of `blob`, size and digest checked. A read that breaks is resumed with `Range` where the server
 * allows it, else begun again and skipped up to where it broke; the digest covers what was put together.
 *
 * @param windowMs how long a body may come too slowly before it is given up
 * @throws OtaError `protocol` when the bytes are not those of the descriptor, `unavailable` when they do not come.
 */
export async function* readBlob(
  transport: Transport,
  request: RegistryRequest,
  blob: Descriptor,
  windowMs: number,
): AsyncGenerator<Buffer, void, undefined> {
  const pace = new Pace(blob.digest, windowMs);
  const hash = hasherFor(blob.digest);
  let received = 0;
  for (let breaks = 0; received < blob.size || breaks === 0;) {
    const before = received;
    try {
      for await (const chunk of pace.of(piecesFrom(transport, request, blob, received))) {
        received += chunk.length;
        if (received > blob.size)
          throw new OtaError('protocol', `${blob.digest} is longer than its ${blob.size} bytes`);
        hash.update(chunk);
        yield chunk;
      }
      if (received < blob.size)
        throw new OtaError('protocol', `${blob.digest} ends after ${received} of ${blob.size} bytes`);
      break;
    } catch (error) {
      breaks = received > before ? 1 : breaks + 1;
      if (!isBreak(error) || breaks > MAX_BREAKS || request.signal.aborted || performance.now() > request.deadlineMs) {
        throw OtaError.from(
          error,
          'unavailable',
          `reading ${blob.digest} broke after ${received} of ${blob.size} bytes`,
        );
      }
      await delay(backoffMs(breaks - 1), request.signal).catch((cause: unknown) => {
        throw new OtaError('unavailable', `reading ${blob.digest} was given up: ${reasonOf(error)}`, { cause });
      });
    }
  }
  if (`${blob.digest.split(':')[0] ?? ''}:${hash.digest('hex')}` !== blob.digest) {
    throw new OtaError('protocol', `content is not ${blob.digest}: its bytes have another digest`);
  }
}

/** An answer that is an error is final (the retry layer has seen it); a stream that stops is not. */
function isBreak(error: unknown): boolean {
  return !(error instanceof OtaError);
}

async function* piecesFrom(
  transport: Transport,
  request: RegistryRequest,
  blob: Descriptor,
  offset: number,
): AsyncGenerator<Buffer> {
  const headers = { ...request.headers, ...(offset > 0 && { range: `bytes=${offset}-` }) };
  const response = await transport.send({ ...request, headers });
  let skip = 0;
  if (offset > 0 && response.status === 206) checkContentRange(response, offset);
  else if (response.status === 200) {
    checkLength(response, blob);
    skip = offset;
  } else throw await failureOf(response, `blob ${blob.digest}`);
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    if (skip >= chunk.length) skip -= chunk.length;
    else {
      yield skip > 0 ? chunk.subarray(skip) : chunk;
      skip = 0;
    }
  }
}

function checkContentRange(response: RegistryResponse, offset: number): void {
  const range = header(response, 'content-range') ?? '';
  if (range.startsWith(`bytes ${offset}-`)) return;
  abandon(response);
  throw new OtaError(
    'protocol',
    `asked for bytes from ${offset}, got Content-Range ${JSON.stringify(range.slice(0, 100))}`,
  );
}

function checkLength(response: RegistryResponse, blob: Descriptor): void {
  const length = header(response, 'content-length');
  if (length === undefined || Number(length) === blob.size) return;
  abandon(response);
  throw new OtaError('protocol', `${blob.digest} is offered with ${length} bytes, expected ${blob.size}`);
}
