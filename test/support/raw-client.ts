import { connect, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

/**
 * A connection that is ready to be written to.
 *
 * @param from the own address, such as 127.0.0.2; the system's choice when undefined
 */
export async function connectTo(port: number, tls?: ConnectionOptions, from?: string): Promise<Socket> {
  const to = { port, host: '127.0.0.1', noDelay: true, ...(from !== undefined && { localAddress: from }) };
  const socket = tls ? connectTls({ ...to, ...tls }) : connect(to);
  await new Promise((resolve, reject) => socket.once(tls ? 'secureConnect' : 'connect', resolve).once('error', reject));
  return socket;
}

/** One answer as it came off the wire. */
export interface RawResponse {
  readonly status: number;
  /** Status line and headers with the empty line behind them. */
  readonly head: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** A TCP connection that speaks HTTP by hand, and keeps the pieces as they arrived. */
export class RawClient {
  readonly pieces: Buffer[] = [];
  private buffer = Buffer.alloc(0);
  private ended = false;
  private wake: () => void = () => undefined;

  private constructor(readonly socket: Socket) {
    socket.on('data', (piece: Buffer) => {
      this.pieces.push(piece);
      this.buffer = Buffer.concat([this.buffer, piece]);
      this.wake();
    });
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        this.ended = true;
        this.wake();
      });
    }
  }

  /**
   * @param tls what to trust and show; plain TCP without it
   * @param from the own address; the system's choice when undefined
   */
  static async open(port: number, tls?: ConnectionOptions, from?: string): Promise<RawClient> {
    return new RawClient(await connectTo(port, tls, from));
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** The next answer. `head` requests have none of the body that their headers speak of. */
  async receive({ head = false } = {}): Promise<RawResponse> {
    const end = await this.waitFor(
      () => this.buffer.indexOf('\r\n\r\n'),
      (at) => at !== -1,
    );
    const text = this.buffer.subarray(0, end + 4).toString('latin1');
    const lines = text.split('\r\n');
    const headers = new Map(
      lines
        .slice(1)
        .filter(Boolean)
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const status = Number(lines[0]?.split(' ')[1]);
    const length =
      head || status < 200 || status === 204 || status === 304 ? 0 : Number(headers.get('content-length') ?? NaN);
    if (Number.isNaN(length)) throw new Error(`no Content-Length in ${text}`);
    await this.waitFor(
      () => this.buffer.length,
      (size) => size >= end + 4 + length,
    );
    const body = this.buffer.subarray(end + 4, end + 4 + length);
    this.buffer = this.buffer.subarray(end + 4 + length);
    return { status, head: text, headers, body };
  }

  async request(text: string, options?: { head?: boolean }): Promise<RawResponse> {
    this.send(text);
    return this.receive(options);
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => (this.wake = resolve));
  }

  close(): void {
    this.socket.destroy();
  }

  private async waitFor(read: () => number, enough: (value: number) => boolean): Promise<number> {
    for (let value = read(); ; value = read()) {
      if (enough(value)) return value;
      if (this.ended)
        throw new Error(`connection ended, got ${JSON.stringify(this.buffer.toString('latin1').slice(0, 500))}`);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}
