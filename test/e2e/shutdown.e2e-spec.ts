import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { Cli } from '../support/cli.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { RawClient } from '../support/raw-client.js';

const firmware = firmwareBytes(8_000_000);
const TAIL = 2_000_000;

describe('SIGTERM', () => {
  const registry = new FakeRegistry();

  beforeAll(async () => {
    await registry.start();
    registry.push('fw', '1.0.0', firmware);
  });
  afterAll(() => registry.stop());

  const serve = (...more: string[]): Cli =>
    new Cli([
      '--registry-url',
      registry.url,
      '--listen-addr',
      '127.0.0.1:0',
      '--metrics-listen-addr',
      '127.0.0.1:0',
      ...more,
    ]);

  it('in the middle of 20 slow downloads: all complete, no new connection, exit code 0', async () => {
    const server = serve();
    const port = await server.port();
    await (await fetch(`http://127.0.0.1:${port}/version?device=fw`)).text();
    const downloads = await Promise.all(Array.from({ length: 20 }, () => SlowReader.start(port)));
    server.kill('SIGTERM');
    await server.event('server.stopping');
    await refused(port);
    const sizes = await Promise.all(downloads.map((download) => download.finish()));
    expect(sizes).toEqual(sizes.map(() => firmware.length));
    expect(await server.finished).toMatchObject({ code: 0, stderr: '' });
  });

  // In a container what the kernel has not sent by then is lost with the network.
  it('is not over before what was sent has arrived', async () => {
    const server = serve();
    const port = await server.port();
    const { management } = await server.event('server.ready');
    await (await fetch(`http://127.0.0.1:${port}/version?device=fw`)).text();
    // More than the receive buffer takes at first, and less than both buffers take: the kernel soon has all of it.
    // The buffer of a client that reads would grow.
    const download = await SlowReader.start(port, `Range: bytes=-${TAIL}\r\n`);
    server.kill('SIGTERM');
    await refused(port);
    // It would have ended by now if the kernel's having the bytes were enough.
    for (let turn = 0; turn < 100; turn++)
      expect((await fetch(`http://${String(management)}/health/live`)).status).toBe(200);
    expect(await download.finish()).toBe(TAIL);
    expect(await server.finished).toMatchObject({ code: 0, stderr: '' });
  });

  it('removes the temporary folder of firmware that is larger than the memory for it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-shutdown-'));
    const server = new Cli(
      ['--registry-url', registry.url, '--listen-addr', '127.0.0.1:0', '--metrics-listen-addr', '127.0.0.1:0'],
      { TMPDIR: folder, CACHE_MEMORY: '1MiB' },
    );
    const response = await fetch(`http://127.0.0.1:${await server.port()}/firmware?device=fw`);
    expect(Buffer.from(await response.arrayBuffer()).equals(firmware)).toBe(true);
    expect(readdirSync(folder)).toHaveLength(1);
    server.kill('SIGTERM');
    expect(await server.finished).toMatchObject({ code: 0 });
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  it('ends idle connections at once', async () => {
    const server = serve('--shutdown-grace', '20m');
    const client = await RawClient.open(await server.port());
    await client.request('GET /version?device=fw HTTP/1.1\r\n\r\n');
    server.kill('SIGTERM');
    await client.closed();
    expect(await server.finished).toMatchObject({ code: 0 });
  });

  it('gives up on readers that stand still after the grace time', async () => {
    const server = serve('--shutdown-grace', '300ms');
    const port = await server.port();
    await (await fetch(`http://127.0.0.1:${port}/version?device=fw`)).text();
    const reader = await SlowReader.start(port);
    server.kill('SIGTERM');
    expect(await server.finished).toMatchObject({ code: 0 });
    reader.end();
  });

  it('a second signal ends the process at once', async () => {
    const server = serve();
    const port = await server.port();
    await (await fetch(`http://127.0.0.1:${port}/version?device=fw`)).text();
    const reader = await SlowReader.start(port);
    server.kill('SIGINT');
    await server.event('server.stopping');
    server.kill('SIGINT');
    expect(await server.finished).toMatchObject({ code: 130 });
    reader.end();
  });
});

/** Reads the headers and a first piece, stops, and reads on when it is told to. */
class SlowReader {
  private constructor(
    private readonly socket: Socket,
    private received: number,
  ) {}

  static async start(port: number, headers = ''): Promise<SlowReader> {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.write(`GET /firmware?device=fw HTTP/1.1\r\nConnection: keep-alive\r\n${headers}\r\n`);
    const first = await new Promise<Buffer>((resolve, reject) => socket.once('data', resolve).once('error', reject));
    socket.pause();
    return new SlowReader(socket, first.length - (first.indexOf('\r\n\r\n') + 4));
  }

  /** The number of bytes of the body, once the server has closed the connection. */
  async finish(): Promise<number> {
    this.socket.on('data', (piece: Buffer) => (this.received += piece.length));
    await new Promise((resolve) =>
      this.socket
        .once('close', resolve)
        .once('error', () => undefined)
        .resume(),
    );
    return this.received;
  }

  end(): void {
    this.socket.on('error', () => undefined).destroy();
  }
}

async function refused(port: number): Promise<void> {
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => {
        resolve(false);
      });
    });
    if (!open) return;
  }
}
