import type { IncomingMessage } from 'node:http';
import { after } from '../timers.js';
import { badBody, bodyTooLarge, unsupportedBody } from './answers.js';

/** The largest body of a known client is a log of SWUpdate, about 6 kB. */
export const MAX_BODY_BYTES = 64 * 1024;
/** The log of a failed Mender deployment is a few hundred kilobytes, if its update module prints much. */
const MAX_LOG_BYTES = 16 * 1024 * 1024;
/** More pieces of a body are joined. */
const MAX_PIECES = 256;
/** Maximum time to receive a body. */
const BODY_TIMEOUT_MS = 30_000;

/**
 * Returns the complete body of a device request, chunked or not, empty if there is none. `Expect: 100-continue` was
 * answered by Node. Rejects with a DeviceRefusal: 413 if it has more than 64 KiB, 408 if it does not arrive in time, 415 if
 * it is compressed, and 400, which nobody reads, if the client has left.
 */
export async function readBody(raw: IncomingMessage): Promise<Buffer> {
  return (await collect(raw, MAX_BODY_BYTES)).bytes;
}

/** The end of a long body. */
export interface EndOfBody {
  readonly bytes: Buffer;
  /** Whether these are all bytes of the body. */
  readonly isWhole: boolean;
}

/**
 * Returns the last 64 KiB of the body of a device request, for logs, whose end says why an update has failed. Rejects as
 * `readBody` does, but with 413 for more than 16 MiB.
 */
export async function readEndOfBody(raw: IncomingMessage): Promise<EndOfBody> {
  return collect(raw, MAX_LOG_BYTES);
}

/** Reads a body, and returns its last 64 KiB. */
async function collect(raw: IncomingMessage, maxBytes: number): Promise<EndOfBody> {
  const encoding = raw.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw unsupportedBody();
  if (Number(raw.headers['content-length'] ?? 0) > maxBytes) throw bodyTooLarge(maxBytes);
  return new Promise((resolve, reject) => {
    let pieces: Buffer[] = [];
    let length = 0;
    let kept = 0;
    const end = (error: Error | undefined): void => {
      timer.stop();
      raw.off('data', take).off('end', done).off('error', gone).off('close', gone);
      if (error) {
        // The rest is read and dropped, so that the client can read the refusal.
        raw.resume();
        reject(error);
      } else
        resolve({ bytes: Buffer.concat(pieces, kept).subarray(-MAX_BODY_BYTES), isWhole: length <= MAX_BODY_BYTES });
    };
    const take = (piece: Buffer): void => {
      length += piece.length;
      if (length > maxBytes) {
        end(bodyTooLarge(maxBytes));
        return;
      }
      kept += piece.length;
      pieces.push(piece);
      // A client may send one byte at a time: a long list of pieces would take more time and memory than the body.
      if (pieces.length > MAX_PIECES) pieces = [Buffer.concat(pieces, kept)];
      while (pieces[0] && kept - pieces[0].length >= MAX_BODY_BYTES) kept -= pieces.shift()?.length ?? 0;
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
