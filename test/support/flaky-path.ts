import { createServer, request as requestBy, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expectStop, stopped } from './leftovers.js';

/** What happens to an answer on its way to the device. */
export type Fault =
  /** The connection ends behind so many bytes of the body. */
  | { readonly cutAfter: number }
  /** One bit of the byte at this place of the body is another one. */
  | { readonly flipBitAt: number }
  /** Another answer comes in its place, the end of the connection behind it, as the server refuses. */
  | { readonly refuse: number; readonly headers?: Record<string, string>; readonly body?: string };

/** A request as it passed, and how many bytes of its body reached the device. */
export interface Passed {
  readonly url: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly authorization: string | undefined;
  status: number;
  bytes: number;
}

/** The way between a device and the server: cuts connections, changes bytes and answers on its own, when it is told to. */
export class FlakyPath {
  readonly passed: Passed[] = [];
  /** Decides on every request; undefined lets it pass. */
  fault: (request: Passed) => Fault | undefined | Promise<Fault | undefined> = () => undefined;
  private server: Server | undefined;

  /** @param to returns the server's port on 127.0.0.1, for each request anew */
  async start(to: () => number): Promise<this> {
    expectStop(this, () => this.stop());
    this.server = createServer((request, response) => {
      void this.pass(request, response, to);
    });
    await new Promise<void>((resolve) => this.server?.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server?.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    stopped(this);
    this.server?.closeAllConnections();
    await new Promise((resolve) => this.server?.close(resolve));
  }

  /** Requests for firmware that have passed. */
  get downloads(): Passed[] {
    return this.passed.filter(({ url }) => url.startsWith('/firmware'));
  }

  private async pass(request: IncomingMessage, response: ServerResponse, to: () => number): Promise<void> {
    const { range, 'if-range': ifRange, authorization } = request.headers;
    const passed: Passed = {
      url: request.url ?? '',
      range,
      ifRange: ifRange as string | undefined,
      authorization,
      status: 0,
      bytes: 0,
    };
    this.passed.push(passed);
    const fault = await this.fault(passed);
    if (fault && 'refuse' in fault) {
      const { refuse, headers, body = 'refused' } = fault;
      passed.status = refuse;
      response.writeHead(refuse, { 'Content-Length': body.length, Connection: 'close', ...headers }).end(body);
      return;
    }
    const { method, url, rawHeaders } = request;
    requestBy({ port: to(), host: '127.0.0.1', method, path: url, headers: rawHeaders, agent: false }, (answer) => {
      passed.status = answer.statusCode ?? 0;
      response.writeHead(passed.status, answer.rawHeaders);
      deliver(answer, response, passed, fault).catch(() => response.destroy());
    })
      .on('error', () => response.destroy())
      .end();
  }
}

/** Passes on the body of `answer` with `fault`. */
async function deliver(
  answer: IncomingMessage,
  response: ServerResponse,
  passed: Passed,
  fault: Exclude<Fault, { refuse: number }> | undefined,
): Promise<void> {
  for await (const chunk of answer) {
    let bytes = Buffer.from(chunk as Buffer);
    if (fault && 'flipBitAt' in fault) {
      const at = fault.flipBitAt - passed.bytes;
      if (at >= 0 && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ 1;
    }
    const isCut = fault && 'cutAfter' in fault && passed.bytes + bytes.length >= fault.cutAfter;
    if (isCut) bytes = bytes.subarray(0, fault.cutAfter - passed.bytes);
    passed.bytes += bytes.length;
    await new Promise((resolve) => response.write(bytes, resolve));
    if (isCut) {
      answer.destroy();
      response.socket?.destroySoon();
      return;
    }
  }
  response.end();
}
