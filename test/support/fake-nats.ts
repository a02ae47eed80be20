import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { expectStop, stopped } from './leftovers.js';

/** A NATS server that accepts everything, and sends what a test wants (NATS, "Client Protocol"). */
export class FakeNats {
  private readonly server: Server = createServer((socket) => {
    this.serve(socket);
  });
  private readonly sockets = new Set<Socket>();
  /** The number of each subscription, by subject. */
  readonly subscriptions = new Map<string, string>();
  connections = 0;

  async start(): Promise<this> {
    expectStop(this, () => this.stop());
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve as () => void));
    return this;
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Number of open connections. */
  get open(): number {
    return this.sockets.size;
  }

  /** Sends messages in one piece, faster than anybody handles them. */
  send(subject: string, payloads: readonly (string | Buffer)[], filter = subject): void {
    const sid = this.subscriptions.get(filter) ?? '';
    const pieces = payloads.flatMap((payload) => [
      `MSG ${subject} ${sid} ${Buffer.byteLength(payload)}\r\n`,
      payload,
      '\r\n',
    ]);
    for (const socket of this.sockets) socket.write(Buffer.concat(pieces.map((piece) => Buffer.from(piece))));
  }

  async stop(): Promise<void> {
    stopped(this);
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: Socket): void {
    this.connections++;
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.sockets.delete(socket));
    socket.write('INFO {"server_id":"X","version":"2.10.0","proto":1,"headers":true,"max_payload":67108864}\r\n');
    let rest = '';
    socket.on('data', (chunk) => {
      const lines = (rest + chunk.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const [verb, subject = '', ...others] = line.split(' ');
        if (verb === 'PING') socket.write('PONG\r\n');
        if (verb === 'SUB') this.subscriptions.set(subject, others.at(-1) ?? '');
      }
    });
  }
}
