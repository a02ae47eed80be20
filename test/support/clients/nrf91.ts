import { RawClient } from '../raw-client.js';

/** The modem takes records of 2,048 bytes with TLS, headers and all. */
const FRAGMENT = 1_600;
const RECORD = 2_048;

/**
 * A download by the downloader of sdk-nrf (http.c) on an nRF91: ranges on one connection, exactly 206, the total from
 * `Content-Range`, and no answer larger than the modem takes. Returns undefined for a server that it gives up on.
 *
 * @param from bytes that it has already
 * @param until stops after so many bytes, as if the battery were empty
 */
export async function nrf91(
  port: number,
  target: string,
  from: Buffer = Buffer.alloc(0),
  until = Infinity,
): Promise<Buffer | undefined> {
  const client = await RawClient.open(port);
  const pieces = [from];
  let at = from.length;
  try {
    for (let total = Infinity; at < total && at < until;) {
      const answer = await client.request(
        `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: keep-alive\r\nRange: bytes=${at}-${at + FRAGMENT - 1}\r\n\r\n`,
      );
      const [, start, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers.get('content-range') ?? '') ?? [];
      if (answer.status !== 206 || Number(start) !== at || answer.head.length + answer.body.length > RECORD)
        return undefined;
      total = Number(size);
      pieces.push(answer.body);
      at += answer.body.length;
    }
  } finally {
    client.close();
  }
  return Buffer.concat(pieces);
}
