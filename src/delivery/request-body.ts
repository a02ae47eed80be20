import type { IncomingMessage } from 'node:http';
import { after } from '../timers.js';
import { badBody, bodyTooLarge, unsupportedBody } from './answers.js';

/** The largest body of a known client is a log of SWUpdate, about 6 kB. */
export const MAX_BODY_BYTES = 64 * 1024;
/** Maximum time to receive a body. */
const BODY_TIMEOUT_MS = 30_000;

/**
 * Returns the complete body of a device request, chunked or not, empty if there is none. `Expect: 100-continue` was
 * answered by Node. Rejects with the DeviceRefusal 413 if it has more than 64 KiB, 408 if it does not arrive in time, and
 * 415 if it is compressed. Rejects with `undefined` if the client has left.
 */
export async function readBody(raw: IncomingMessage): Promise<Buffer> {
  const encoding = raw.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw unsupportedBody();
  if (Number(raw.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw bodyTooLarge();
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let length = 0;
    const end = (error: Error | undefined): void => {
      timer.stop();
      raw.off('data', take).off('end', done).off('error', gone).off('close', gone);
      if (error) {
        // The rest is read and dropped, so that the client can read the refusal.
        raw.resume();
        reject(error);
      } else resolve(Buffer.concat(pieces, length));
    };
    const take = (piece: Buffer): void => {
      length += piece.length;
      if (length > MAX_BODY_BYTES) end(bodyTooLarge());
      else pieces.push(piece);
    };
    const done = (): void => {
      end(undefined);
    };
    const gone = (): void => {
      end(badBody('it ended before it was complete'));
    };
    const timer = after(BODY_TIMEOUT_MS, () => {
      end(badBody(`it did not arrive within ${BODY_TIMEOUT_MS / 1000} s`, 408));
    });
    raw.on('data', take).once('end', done).once('error', gone).once('close', gone);
  });
}

/**
 * Returns the JSON object in `body`. Clients send all kinds of content types with it, or none, so they are not checked.
 * Throws the DeviceRefusal 400 for anything else.
 */
export function jsonIn(body: Buffer): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw badBody('it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badBody('it is not a JSON object');
  return value as Record<string, unknown>;
}
