import { RawClient } from '../raw-client.js';

/** The part of `swupdate.cfg` that the general server of SWUpdate reads. */
export interface SwupdateConfig {
  /** `gservice.url`: the path on the server. */
  readonly url: string;
  /** `gservice.logurl`. */
  readonly logurl?: string;
  /** `identify`, in the order of the configuration. */
  readonly identify: Readonly<Record<string, string>>;
  /** `gservice.logevent`: the format of each event. */
  readonly logevent?: Readonly<Record<string, string>>;
  /** Headers that the integrator adds, such as `Authorization`. They are not sent with the image. */
  readonly headers?: readonly string[];
}

/** What one poll ends with. `polldelay` is the interval after it. */
export interface Poll {
  readonly result: 'installed' | 'failed' | 'no update' | 'error';
  readonly status: number;
  readonly polldelay: number;
  readonly image?: Buffer;
  readonly location?: string | undefined;
}

/** The default of `polldelay`, in seconds. */
const POLLDELAY = 30;
const COMMON = ['User-Agent: libcurl-agent/1.0', 'Accept: */*'];

/**
 * SWUpdate with `-S general`, as server_general.c and channel_curl.c at 8164b9b send and read: the pairs of `identify` in
 * reverse order, `Retry-After` compared with its case, HEAD before GET of the image, Range after a cut, and the log by PUT
 * with `Expect: 100-continue`.
 */
export class SwupdateClient {
  polldelay = POLLDELAY;
  /** SWUpdate asks no more until it is restarted. */
  isInstalled = false;

  constructor(
    private readonly port: number,
    private readonly config: SwupdateConfig,
  ) {}

  /**
   * @param cutAfter the connection ends after so many bytes of the image, once
   * @param isGood whether the handlers can install the image
   */
  async poll({
    cutAfter,
    isGood = () => true,
  }: { cutAfter?: number; isGood?: (image: Buffer) => boolean } = {}): Promise<Poll> {
    const { head, status, headers } = await this.once('GET', this.query(), this.config.headers);
    const announced = /^Retry-After: (\d+)\r$/m.exec(head)?.[1];
    if (announced !== undefined) this.polldelay = Number(announced) || POLLDELAY;
    const { polldelay } = this;
    if (status === 404) return { result: 'no update', status, polldelay };
    if (status !== 302) return { result: 'error', status, polldelay };
    const location = headers.get('location');
    const end = { status, polldelay, location };
    if (location === undefined) return { ...end, result: 'error' };
    const image = await this.fetch(new URL(location), cutAfter);
    await this.log('started');
    if (!image || !isGood(image)) {
      await this.log('fail');
      return { ...end, result: 'failed' };
    }
    await this.log('success');
    this.isInstalled = true;
    return { ...end, result: 'installed', image };
  }

  /** Sends a line as `logevent` formats it: names of `identify` and `date` are replaced, other fields are sent as they are. */
  async log(event: string): Promise<number | undefined> {
    const { logurl, logevent, identify, headers = [] } = this.config;
    const format = logevent?.[event];
    if (logurl === undefined || format === undefined) return undefined;
    const line = format
      .split(',')
      .map((field) => (field === 'date' ? '2026-11-25T18:11:23Z' : (identify[field] ?? field)))
      .join(',');
    return this.put(logurl, line, headers);
  }

  async put(target: string, line: string, headers: readonly string[] = []): Promise<number> {
    const client = await RawClient.open(this.port);
    const lines = [
      `PUT ${target} HTTP/1.1`,
      `Host: 127.0.0.1:${this.port}`,
      ...COMMON,
      'Content-Type: application/text; charset=utf-8',
      ...headers,
      `Content-Length: ${Buffer.byteLength(line)}`,
      'Expect: 100-continue',
    ];
    const first = await client.request(`${lines.join('\r\n')}\r\n\r\n`);
    const answer = first.status === 100 ? await client.request(line) : first;
    client.close();
    return answer.status;
  }

  private query(): string {
    const pairs = Object.entries(this.config.identify)
      .reverse()
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    return pairs.length === 0 ? this.config.url : `${this.config.url}?${pairs.join('&')}`;
  }

  private async fetch(location: URL, cutAfter: number | undefined): Promise<Buffer | undefined> {
    const target = `${location.pathname}${location.search}`;
    // An unsuccessful HEAD is a warning only.
    await this.once('HEAD', target);
    let image = Buffer.alloc(0);
    for (let tries = 0; tries <= 5; tries++) {
      const range = image.length === 0 ? [] : [`Range: bytes=${image.length}-`];
      const answer = await this.download(target, range, tries === 0 ? cutAfter : undefined);
      if (answer.status >= 400) return undefined;
      // Appended, whatever the status: a 200 to a range ends in a wrong image.
      image = Buffer.concat([image, answer.body]);
      if (answer.isComplete) return image;
    }
    return undefined;
  }

  private async once(method: string, target: string, more: readonly string[] = []): ReturnType<RawClient['request']> {
    const client = await RawClient.open(this.port);
    const answer = await client.request(this.request(method, target, more), { head: method === 'HEAD' });
    client.close();
    return answer;
  }

  private request(method: string, target: string, more: readonly string[]): string {
    return `${[`${method} ${target} HTTP/1.1`, `Host: 127.0.0.1:${this.port}`, ...COMMON, ...more].join('\r\n')}\r\n\r\n`;
  }

  private async download(
    target: string,
    more: readonly string[],
    cutAfter: number | undefined,
  ): Promise<{ status: number; body: Buffer; isComplete: boolean }> {
    const client = await RawClient.open(this.port);
    const { status, body } = await client.request(this.request('GET', target, more));
    client.close();
    // The server cannot tell this from a connection that is cut: the rest is asked for again.
    return cutAfter === undefined
      ? { status, body, isComplete: true }
      : { status, body: body.subarray(0, cutAfter), isComplete: false };
  }
}
