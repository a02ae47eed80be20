import { pipeline, Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { codeOf, OtaError } from '../../errors.js';
import { abandon, header, type RegistryResponse } from './transport.js';

/**
 * Resolves to the decompressed body of `response`. If it has more than `limit` bytes, rejects with the error that
 * `tooLong` returns.
 */
export async function readBody(response: RegistryResponse, limit: number, tooLong: () => Error): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of decoded(response)) {
    length += chunk.length;
    if (length > limit) {
      abandon(response);
      throw tooLong();
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

/** The same for a response of the registry. If the body is interrupted, rejects with OtaError `unavailable`. */
export async function readWhole(response: RegistryResponse, limit: number, tooLong: () => Error): Promise<Buffer> {
  try {
    return await readBody(response, limit, tooLong);
  } catch (error) {
    throw OtaError.from(error, 'unavailable', `the answer of ${response.url.host} broke off`);
  }
}

/**
 * Returns the codings of a body, the last applied first. The client asks for none: it sends `Accept-Encoding:
 * identity`.
 */
export function codingsOf(response: Pick<RegistryResponse, 'headers'>): string[] {
  return (header(response, 'content-encoding') ?? '')
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity')
    .reverse();
}

/**
 * Returns the body of `response`, decompressed if it is compressed. Fails with OtaError `protocol` if it cannot be
 * decompressed.
 */
export async function* decoded(response: RegistryResponse): AsyncGenerator<Buffer> {
  let body: AsyncIterable<Buffer> = response.body as AsyncIterable<Buffer>;
  const codings = codingsOf(response);
  for (const coding of codings) {
    const decoder = Object.hasOwn(DECODERS, coding) ? DECODERS[coding] : undefined;
    if (!decoder) {
      abandon(response);
      throw new OtaError(
        'protocol',
        `${response.url.host} sends a body in the encoding ${JSON.stringify(coding.slice(0, 50))}, expected none. Check proxies in front of it`,
      );
    }
    body = through(body, decoder);
  }
  try {
    yield* body;
  } catch (error) {
    if (!isBadData(error)) throw error;
    throw new OtaError(
      'protocol',
      `${response.url.host} sends a body that is not ${codings.join(', ')}, as its Content-Encoding says. Check proxies in front of it`,
      {
        cause: error,
      },
    );
  }
}

/** Returns a decoder for a body that begins with `first` (RFC 9110, section 8.4.1). */
const DECODERS: Readonly<Record<string, ((first: Buffer) => Transform) | undefined>> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  br: () => createBrotliDecompress(),
  // A zlib stream has its method, 8, in the low four bits (RFC 1950). Some servers send deflate without that frame.
  deflate: ([first = 0]) => ((first & 0x0f) === 8 ? createInflate() : createInflateRaw()),
};

async function* through(
  source: AsyncIterable<Buffer>,
  decoderFor: (first: Buffer) => Transform,
): AsyncGenerator<Buffer> {
  const pieces = source[Symbol.asyncIterator]();
  try {
    const first = await pieces.next();
    if (first.done) return;
    const all = async function* (): AsyncGenerator<Buffer> {
      yield first.value;
      for (let next = await pieces.next(); !next.done; next = await pieces.next()) yield next.value;
    };
    const decoder = decoderFor(first.value);
    // Errors of either side come out of the decoder.
    pipeline(Readable.from(all()), decoder, () => undefined);
    yield* decoder as AsyncIterable<Buffer>;
  } finally {
    await pieces.return?.();
  }
}

/**
 * Returns whether a decoder received data that is not of its coding. An early end is a different error, and may be
 * temporary.
 */
function isBadData(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'Z_DATA_ERROR' || code === 'Z_NEED_DICT' || code?.startsWith('ERR__ERROR_FORMAT') === true;
}
