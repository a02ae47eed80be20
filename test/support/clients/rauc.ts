import { RawClient, type RawResponse } from '../raw-client.js';

/** The part of `system.conf` and of the system that RAUC sends. */
export interface RaucSystem {
  /** `[polling] source=`, or the URL of `rauc install`: the path on the server. */
  readonly url: string;
  /** What `[streaming] send-headers=` lists. */
  readonly headers?: Readonly<Record<string, string>>;
  /** `--http-header`: sent with every request. */
  readonly always?: readonly string[];
}

/** What the first request of RAUC ends with. */
export interface Access {
  /** `bundle`, `no content`, `not modified`, `unauthorized`, `not found`, or another error. */
  readonly result: string;
  /** Size of the bundle. */
  readonly size?: number;
  readonly etag?: string | undefined;
  /** All further requests are sent to it. */
  readonly effectiveUrl?: string;
}

/** A range of bytes, the end not included. */
export type Range = readonly [start: number, end: number];

/** RAUC follows as many redirects. */
const MAX_REDIRECTS = 8;
/** A range is tried as often again, except after 404. */
const RETRIES = 5;

/**
 * RAUC as src/nbd.c and src/polling.c at 3991031 send and read: the first request asks for 4 bytes and says what the system
 * is, further ones are ranges of the blocks that the kernel reads, on several connections, and carry nothing else.
 */
export class RaucClient {
  /** Of the last bundle that a poll has seen. */
  etag: string | undefined;
  readonly statuses: number[] = [];
  private readonly connections: RawClient[] = [];

  constructor(
    private readonly port: number,
    private readonly system: RaucSystem,
  ) {}

  /** One poll: the headers of the system, and `If-None-Match` if there was a bundle before. */
  async poll(): Promise<Access> {
    const more = this.etag === undefined ? [] : [`If-None-Match: ${this.etag}`];
    const access = await this.configure(more);
    if (access.result === 'bundle') this.etag = access.etag;
    else if (access.result === 'no content') this.etag = undefined;
    return access;
  }

  /** What an installation asks first. It has the id of a transaction, and no condition. */
  begin(): Promise<Access> {
    return this.configure(['RAUC-Transaction-ID: 7d5ac4a1-2b6e-4d0c-8a77-2f2f0d3f2d11']);
  }

  /** Reads the ranges of a bundle at `effectiveUrl`, on `connections` connections. Rejects as the kernel would get EIO. */
  async read(effectiveUrl: string, ranges: readonly Range[], connections: number): Promise<Buffer[]> {
    const results: Buffer[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      let client = await this.connect();
      for (let index = next++; index < ranges.length; index = next++) {
        const [start, end] = ranges[index] ?? [0, 0];
        for (let errors = 0; ; errors++) {
          const answer = await client.request(this.request(effectiveUrl, [`Range: bytes=${start}-${end - 1}`]));
          this.statuses.push(answer.status);
          if (answer.status === 206 && answer.body.length === end - start) {
            results[index] = answer.body;
            break;
          }
          if (answer.status === 404 || errors === RETRIES) throw new Error(`EIO after ${answer.status}`);
          // It opens a new connection where the server has closed the last one.
          if (answer.headers.get('connection') === 'close') client = await this.connect();
        }
      }
    };
    await Promise.all(Array.from({ length: connections }, work));
    return results;
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }

  private async configure(more: readonly string[]): Promise<Access> {
    const client = await this.connect();
    const info = Object.entries(this.system.headers ?? {}).map(([name, value]) => `${name}: ${value}`);
    const headers = ['User-Agent: rauc/1.16', ...info, ...more, 'Range: bytes=0-3'];
    let target = this.system.url;
    let answer: RawResponse | undefined;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      answer = await client.request(this.request(target, headers));
      if (![301, 302, 303, 307, 308].includes(answer.status)) break;
      const { pathname, search } = new URL(answer.headers.get('location') ?? '', `http://127.0.0.1:${this.port}`);
      target = `${pathname}${search}`;
    }
    const { status = 0, headers: fields, body } = answer ?? {};
    if (status === 204) return { result: 'no content' };
    if (status === 304) return { result: 'not modified' };
    if (status === 401) return { result: 'unauthorized' };
    if (status === 404) return { result: 'not found' };
    if (status !== 206) return { result: `unexpected HTTP error code ${status}` };
    const range = /^bytes 0-3\/(\d+)$/.exec(fields?.get('content-range') ?? '');
    if (!range || body?.length !== 4 || !fields?.has('date')) return { result: 'failed to parse content-range' };
    return { result: 'bundle', size: Number(range[1]), etag: fields.get('etag'), effectiveUrl: target };
  }

  private async connect(): Promise<RawClient> {
    const client = await RawClient.open(this.port);
    this.connections.push(client);
    return client;
  }

  private request(target: string, headers: readonly string[]): string {
    const lines = [`GET ${target} HTTP/1.1`, `Host: 127.0.0.1:${this.port}`, 'Accept: */*', ...headers];
    return `${[...lines, ...(this.system.always ?? [])].join('\r\n')}\r\n\r\n`;
  }
}

/** The ranges of `size` bytes in blocks of various sizes, in an order that is always the same and looks random. */
export function blocks(size: number): Range[] {
  const ranges: Range[] = [];
  for (let start = 0, step = 1; start < size; step++) {
    const length = 4096 * ((step * 7) % 32 || 1);
    ranges.push([start, Math.min(start + length, size)]);
    start += length;
  }
  return ranges.sort(([a], [b]) => ((a * 2_654_435_761) % 4_294_967_296) - ((b * 2_654_435_761) % 4_294_967_296));
}
