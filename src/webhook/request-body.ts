import { HttpException, HttpStatus, PayloadTooLargeException } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { after } from '../timers.js';

/** The largest body of a known sender has about 10 kB. */
const MAX_BODY_BYTES = 1024 * 1024;
/** Maximum time to receive a body. */
const BODY_TIMEOUT_MS = 10_000;

/**
 * Returns the raw body of a webhook, which an HMAC covers. Rejects with 413 if it has more than 1 MiB. Closes the
 * connection after 10 s.
 */
export async function readRequest(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const timer = after(BODY_TIMEOUT_MS, () => request.destroy());
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of request as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > MAX_BODY_BYTES) throw tooLarge();
      pieces.push(piece);
    }
  } finally {
    timer.stop();
  }
  return Buffer.concat(pieces, length);
}

/**
 * Returns the JSON in a body, or in its form field `payload`, as GitHub may send it. Throws 400, or 415 for other
 * content types.
 */
export function parseBody(body: Buffer, contentType: string): unknown {
  const text = body.toString('utf8');
  const form = contentType.includes('x-www-form-urlencoded') ? new URLSearchParams(text).get('payload') : null;
  try {
    return JSON.parse(form ?? text) as unknown;
  } catch {
    if (contentType === '' || /json|text\/plain|urlencoded/i.test(contentType))
      throw badRequest('the body is not JSON. Send the event as JSON');
    throw new HttpException(
      `content type ${JSON.stringify(contentType.slice(0, 100))} is not supported, expected application/json`,
      HttpStatus.UNSUPPORTED_MEDIA_TYPE,
    );
  }
}

export function badRequest(message: string): HttpException {
  return new HttpException(message, HttpStatus.BAD_REQUEST);
}

function tooLarge(): PayloadTooLargeException {
  return new PayloadTooLargeException(`the body has more than ${MAX_BODY_BYTES} bytes. Send fewer events at once`);
}
