import type { IncomingMessage, RequestOptions } from 'node:http';

export interface HttpAnswer {
  readonly code: number;
  readonly body: string;
}

/** Answers of the management port are shorter. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/**
 * Resolves to the answer to one HTTP request, whatever its status. Rejects when there is none.
 * Uses Node's own client: a health probe runs every 10 s, and loading undici would cost more than the probe itself.
 */
export async function httpRequest(
  url: URL,
  options: Pick<RequestOptions, 'method' | 'headers'> & { signal: AbortSignal },
): Promise<HttpAnswer> {
  const { request } = url.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { ...options, agent: false })
      .on('response', resolve)
      .on('error', reject)
      .end();
  });
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > MAX_BODY_BYTES) throw new Error(`the answer is longer than ${MAX_BODY_BYTES} bytes`);
    pieces.push(piece);
  }
  return { code: response.statusCode ?? 0, body: Buffer.concat(pieces).toString('utf8') };
}
