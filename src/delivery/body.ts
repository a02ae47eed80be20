import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { Lease } from '../cache/index.js';
import { OtaError } from '../errors.js';
import { closeStream, type Download } from './download.js';
import type { Representation } from './prepared.js';
import type { ByteRange, Ranges } from './ranges.js';

/** Status, headers and body of a response with the bytes of an image. */
export interface Answer {
  readonly status: 200 | 206;
  readonly headers: string[];
  /** At least one. */
  readonly ranges: readonly ByteRange[];
  /** What is sent before each range, and after the last one. Undefined if the body is one range. */
  readonly separators: readonly Buffer[] | undefined;
  /** Length of the body. */
  readonly lengthBytes: number;
  /** Size of the complete image. */
  readonly sizeBytes: number;
}

/** Bytes of the boundary between parts: 96 random bits do not occur in the content. */
const BOUNDARY_BYTES = 12;
/** Size of a piece that is sent from memory. The count of sent bytes is exact to this size. */
const PIECE_BYTES = 256 * 1024;

export function answerOf(
  ranges: Exclude<Ranges, 'unsatisfiable'>,
  sizeBytes: number,
  answers: Representation,
  extra: readonly string[],
): Answer {
  if (ranges === 'whole') {
    const headers = extra.length > 0 ? [...answers.whole, ...extra] : (answers.whole as string[]);
    const whole = [{ start: 0, end: sizeBytes - 1 }];
    return { status: 200, headers, ranges: whole, separators: undefined, lengthBytes: sizeBytes, sizeBytes };
  }
  const [first, second] = ranges;
  if (!first || second) return multipart(ranges, sizeBytes, answers, extra);
  const lengthBytes = lengthOf(first);
  const headers = [
    'Content-Type',
    answers.contentType,
    'Content-Length',
    String(lengthBytes),
    'Content-Range',
    rangeText(first, sizeBytes),
    ...answers.common,
    ...extra,
  ];
  return { status: 206, headers, ranges, separators: undefined, lengthBytes, sizeBytes };
}

/** Several ranges in one body (RFC 9110, section 14.6). It begins with the boundary, as the body of hawkBit does. */
function multipart(
  ranges: readonly ByteRange[],
  sizeBytes: number,
  answers: Representation,
  extra: readonly string[],
): Answer {
  const boundary = randomBytes(BOUNDARY_BYTES).toString('hex');
  const separators = ranges.map((range, i) =>
    Buffer.from(
      `${i === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${answers.contentType}\r\nContent-Range: ${rangeText(range, sizeBytes)}\r\n\r\n`,
      'latin1',
    ),
  );
  separators.push(Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1'));
  const lengthBytes =
    separators.reduce((sum, { length }) => sum + length, 0) + ranges.reduce((sum, range) => sum + lengthOf(range), 0);
  const headers = [
    'Content-Type',
    `multipart/byteranges; boundary=${boundary}`,
    'Content-Length',
    String(lengthBytes),
    ...answers.common,
    ...extra,
  ];
  return { status: 206, headers, ranges, separators, lengthBytes, sizeBytes };
}

/** Sends a body of one range from memory, without a promise. */
export function sendOneRange(
  bytes: Buffer,
  { status, headers, ranges: [range], sizeBytes }: Answer,
  response: ServerResponse,
  download: Download,
): void {
  response.writeHead(status, headers);
  const isWhole = !range || lengthOf(range) === sizeBytes;
  download.sendBuffer(isWhole ? bytes : bytes.subarray(range.start, range.end + 1));
}

/** Sends `answer` from memory or disk. Rejects before it sends anything if the first read fails. */
export async function sendRanges(
  lease: Lease,
  answer: Answer,
  response: ServerResponse,
  download: Download,
): Promise<void> {
  const { bytes } = lease;
  let stream: Readable | undefined;
  download.onEnd(() => {
    if (stream) closeStream(stream);
  });
  const read = ({ start, end }: ByteRange): Iterable<Buffer> | AsyncIterable<Buffer> =>
    bytes ? slicesOf(bytes.subarray(start, end + 1)) : (stream = lease.read(start, end));
  const pieces = bodyOf(answer, read, download);
  const first = await pieces.next();
  if (download.isOver) return;
  if (first.done) throw new OtaError('unavailable', 'the firmware store sent no bytes. This is an error in the store');
  response.writeHead(answer.status, answer.headers);
  await download.sendPieces(first.value, pieces, answer.lengthBytes);
}

/**
 * Yields the body piece by piece. A range is read after the range before it was sent. Its separator comes after the
 * first read, so that a file that cannot be read is noticed before anything is sent. If a range has more or fewer bytes
 * than requested, throws and yields no byte beyond it: the client would otherwise take the next response for the rest of
 * this one.
 */
async function* bodyOf(
  { ranges, separators }: Answer,
  read: (range: ByteRange) => Iterable<Buffer> | AsyncIterable<Buffer>,
  download: Download,
): AsyncGenerator<Buffer, undefined> {
  for (const [i, range] of ranges.entries()) {
    if (download.isOver) return;
    const sizeBytes = lengthOf(range);
    let left = sizeBytes;
    let separator = separators?.[i];
    for await (const piece of read(range)) {
      if (separator) yield separator;
      separator = undefined;
      left -= piece.length;
      if (left < 0)
        throw new OtaError(
          'unavailable',
          `the firmware store sent more than the ${sizeBytes} bytes that were requested. This is an error in the store`,
        );
      yield piece;
    }
    if (left > 0 || separator)
      throw new OtaError(
        'unavailable',
        `the firmware store sent ${left} bytes too few of ${sizeBytes}. This is an error in the store`,
      );
  }
  const end = separators?.at(-1);
  if (end) yield end;
}

function* slicesOf(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) yield bytes.subarray(start, start + PIECE_BYTES);
}

const lengthOf = ({ start, end }: ByteRange): number => end - start + 1;

const rangeText = ({ start, end }: ByteRange, sizeBytes: number): string => `bytes ${start}-${end}/${sizeBytes}`;
