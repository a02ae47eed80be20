import { RawClient, type RawResponse } from '../raw-client.js';

/** What Zephyr's fota_http keeps of a download that was cut. */
export interface Progress {
  readonly bytes: Buffer;
  /** The validator with which it resumes; undefined if the server's was too long. */
  readonly validator: string | undefined;
}

/** `FOTA_HTTP_VALIDATOR_MAX`: a longer validator is not kept. */
const VALIDATOR_MAX = 64;

/**
 * A download of Zephyr's `fota_http`: HTTP/1.1, resumed by Range with If-Range; 200 and 416 start anew, a 206 has to begin at
 * the byte that was asked for. `cutAfter` ends the connection after so many bytes in all.
 */
export async function fotaHttp(
  port: number,
  target: string,
  progress?: Progress,
  cutAfter = Infinity,
): Promise<Progress & { readonly status: number; readonly isWhole: boolean }> {
  const client = await RawClient.open(port);
  const answer = await client.request(
    [
      `GET ${target} HTTP/1.1`,
      'Host: 127.0.0.1',
      ...(progress?.validator === undefined
        ? []
        : [`Range: bytes=${progress.bytes.length}-`, `If-Range: ${progress.validator}`]),
      '\r\n',
    ].join('\r\n'),
  );
  client.close();
  const validator = answer.headers.get('etag') ?? answer.headers.get('last-modified');
  const kept = validator !== undefined && validator.length < VALIDATOR_MAX ? validator : undefined;
  if (answer.status !== 200 && answer.status !== 206)
    return { status: answer.status, bytes: Buffer.alloc(0), validator: kept, isWhole: false };
  const before = answer.status === 206 ? rest(answer, progress) : Buffer.alloc(0);
  const all = Buffer.concat([before, answer.body]);
  const bytes = all.subarray(0, cutAfter);
  return { status: answer.status, bytes, validator: kept, isWhole: bytes.length === all.length };
}

function rest({ headers }: RawResponse, progress: Progress | undefined): Buffer {
  const [, start = ''] = /^bytes (\d+)-\d+\/\d+$/.exec(headers.get('content-range') ?? '') ?? [];
  if (Number(start) !== progress?.bytes.length) throw new Error('a 206 that begins elsewhere: fota_http gives up');
  return progress.bytes;
}
