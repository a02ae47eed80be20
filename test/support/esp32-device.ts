import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { connectTo } from './raw-client.js';

/** The client's buffer for headers and the `/version` body (esp32-home-sensor, ota.rs:145). */
const BUFFER_BYTES = 1024;

/** What the device believes after a check. */
export interface Update {
  readonly version: string;
  readonly size: number;
  /** What it would write to flash: all that came behind the headers of `/firmware`, whatever its status was. */
  readonly flash: Buffer;
}

/**
 * A device as the seed's ESP32 client behaves: a stray CRLF before the request, an id that is not encoded, no port in
 * `Host`; it reads into 1,024 bytes, stops at the second newline of the body, looks at no status and no length, and
 * asks for `/firmware` on the same connection, reading to its end.
 */
export async function esp32Update(
  port: number,
  device: string,
  between: () => Promise<void> = () => Promise.resolve(),
  tls?: ConnectionOptions,
): Promise<Update> {
  const socket = await connectTo(port, tls);
  socket.write(`\r\nGET /version?device=${device} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n`);
  const text = await readVersion(socket);
  const [version = '', , size = ''] = text.split('\n');
  await between();
  socket.write(`GET /firmware?device=${device} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
  const all = await readToEnd(socket);
  return { version, size: Number(size), flash: all.subarray(all.indexOf('\r\n\r\n') + 4) };
}

/** Reads until two newlines stand in the body, the buffer is full or the connection ends: what came in one piece counts. */
async function readVersion(socket: Socket): Promise<string> {
  let buffer = Buffer.alloc(0);
  for (;;) {
    const piece = await nextPiece(socket);
    if (piece) buffer = Buffer.concat([buffer, piece]).subarray(0, BUFFER_BYTES);
    const headEnd = buffer.indexOf('\r\n\r\n');
    const body = headEnd === -1 ? '' : buffer.subarray(headEnd + 4).toString('latin1');
    if (body.split('\n').length > 2 || !piece || buffer.length === BUFFER_BYTES) return body;
  }
}

function nextPiece(socket: Socket): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const done = (piece?: Buffer): void => {
      socket.pause();
      socket.off('data', done).off('end', ended).off('error', reject);
      resolve(piece);
    };
    const ended = (): void => {
      done();
    };
    socket.on('data', done).on('end', ended).on('error', reject).resume();
  });
}

async function readToEnd(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let piece = await nextPiece(socket); piece; piece = await nextPiece(socket)) pieces.push(piece);
  return Buffer.concat(pieces);
}
