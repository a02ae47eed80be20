import { Agent, request, type IncomingHttpHeaders } from 'node:http';

/** One answer. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What is sent beside method and path. */
export interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Sends requests to 127.0.0.1 on connections that stay open, at most `connections` of them. */
export class KeepAlive {
  private readonly agent: Agent;

  constructor(
    private readonly port: number,
    connections: number,
  ) {
    this.agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** @param target a path, or a URL whose host is not looked at */
  send(method: string, target: string, { headers = {}, body }: Sent = {}): Promise<Reply> {
    const path = target.startsWith('/') ? target : target.slice(target.indexOf('/', target.indexOf('//') + 2));
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          ...{ agent: this.agent, host: '127.0.0.1', port: this.port, method, path },
          headers: { ...headers, ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }) },
        },
        (answer) => {
          const pieces: Buffer[] = [];
          answer.on('data', (piece: Buffer) => pieces.push(piece)).once('error', reject);
          answer.once('end', () => {
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(pieces) });
          });
        },
      );
      sent.once('error', (error: NodeJS.ErrnoException) => {
        // The server has closed an idle connection at the moment at which it was used: every client asks again.
        if (sent.reusedSocket && error.code === 'ECONNRESET')
          this.send(method, target, { headers, ...(body !== undefined && { body }) }).then(resolve, reject);
        else reject(error);
      });
      sent.end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}
