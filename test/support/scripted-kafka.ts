import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { expectStop, stopped } from './leftovers.js';

/** API keys of the Kafka protocol, with the versions that it understands. */
const [SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE] = [17, 18, 36];
const VERSIONS = [
  [SASL_HANDSHAKE, 0, 1],
  [API_VERSIONS, 0, 2],
  [SASL_AUTHENTICATE, 0, 0],
];
/** SASL_AUTHENTICATION_FAILED. */
const REFUSED = 58;

/** A Kafka broker that offers SASL/PLAIN and refuses every password. */
export class RefusingKafka {
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();

  async start(): Promise<this> {
    this.server = createServer((socket) => {
      this.serve(socket);
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => this.server?.once('listening', resolve));
    expectStop(this, () => this.stop());
    return this;
  }

  get port(): number {
    return (this.server?.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    stopped(this);
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server?.close(resolve));
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    let buffer = Buffer.alloc(0);
    socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
    socket.on('data', (piece) => {
      buffer = Buffer.concat([buffer, piece]);
      while (buffer.length >= 4 && buffer.length >= 4 + buffer.readInt32BE(0)) {
        const request = buffer.subarray(4, 4 + buffer.readInt32BE(0));
        buffer = buffer.subarray(4 + request.length);
        const body = Buffer.concat([request.subarray(4, 8), answerTo(request.readInt16BE(0))]);
        socket.write(Buffer.concat([int32(body.length), body]));
      }
    });
  }
}

function answerTo(key: number): Buffer {
  if (key === API_VERSIONS)
    return Buffer.concat([int16(0), int32(VERSIONS.length), ...VERSIONS.flat().map(int16), int32(0)]);
  if (key === SASL_HANDSHAKE) return Buffer.concat([int16(0), int32(1), text('PLAIN')]);
  return Buffer.concat([int16(REFUSED), text('Authentication failed'), int32(0)]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.concat([int16(value.length), Buffer.from(value)]);
}
