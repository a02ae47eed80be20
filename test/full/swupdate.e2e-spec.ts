import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fleet, type UnitState } from '../../src/fleet/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { SWUPDATE, SwupdateBoard } from '../support/clients/swupdate-board.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith, itWith } from '../support/real-server.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const image = firmwareBytes(300_000, 'image');

describeWith(SWUPDATE, 'the real SWUpdate in hawkBit mode', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let board: SwupdateBoard;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.fault = () => false;
    board = new SwupdateBoard('board-1');
  });
  afterEach(async () => {
    await board.remove();
    await service.stop();
    registry.remove('gateway');
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      DDI_DEFAULT_PRODUCT: 'gateway',
      POLL_INTERVAL: '1s',
      ...options,
    });
  };
  const push = (version: string, swu: Buffer): string =>
    registry.push('gateway', version, swu, 'application/octet-stream', `gateway-${version}.swu`);
  const state = async (): Promise<UnitState | undefined> =>
    service.service.app.get(Fleet, { strict: false }).find({ product: 'gateway', unit: 'board-1' });
  const outcome = async (): Promise<string | undefined> => (await state())?.outcome?.outcome;

  it('installs an update, and reports it after the reboot', async () => {
    await start();
    push('1.1.0', board.pack('1.1.0', image));
    board.start(service.url);
    await until(() => board.flashed(image.length).equals(image), 'the image in flash');
    await until(async () => (await state())?.attributes?.board === 'h3board', 'the configData');
    expect(await state()).toMatchObject({ running: '1.0.0', hardware: 'h3board' });
    expect(await outcome()).toBeUndefined();
    await board.stop();
    board.start(service.url, { suricatta: '-c 2' });
    await until(async () => (await outcome()) === 'installed', 'the report');
    expect(await state()).toMatchObject({ running: '1.1.0', outcome: { version: '1.1.0' } });
    const polls = await service.metrics();
    expect(polls).not.toMatch(/controller\/v1[^}]*status="[45]/);
  });

  it.each([2, 3])('reports with -c %d also after a restart of the server', async (confirmed) => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-swupdate-state-'));
    await start({ STATE_DIR: folder });
    push('1.1.0', board.pack('1.1.0', image));
    board.start(service.url);
    await until(() => board.flashed(image.length).equals(image), 'the image in flash');
    await board.stop();
    await service.stop();
    await start({ STATE_DIR: folder });
    board.start(service.url, { suricatta: `-c ${confirmed}` });
    await until(async () => (await outcome()) !== undefined, 'the report');
    expect(await outcome()).toBe(confirmed === 2 ? 'installed' : 'failed');
    await board.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('reports an image that it refuses, and is not offered it again, but the next one', async () => {
    await start();
    push('1.1.0', board.pack('1.1.0', image, 'type = "raw";', Buffer.from('another image')));
    board.start(service.url);
    await until(async () => (await outcome()) === 'failed', 'the report');
    // SWUpdate sends the last lines of its log. Which ones these are depends on its threads.
    expect((await state())?.outcome?.message).toMatch(/hash|corrupt/i);
    push('1.2.0', board.pack('1.2.0', image));
    await until(() => board.flashed(image.length).equals(image), 'the image in flash');
  });

  it('cancels a download when a newer release comes, and installs that one', async () => {
    await start();
    const large = firmwareBytes(1_500_000, 'large');
    push('1.1.0', board.pack('1.1.0', large));
    board.start(service.url, { suricatta: '-n 100k' });
    await until(async () => (await state())?.notes?.started === true, 'the begin of the download');
    push('1.2.0', board.pack('1.2.0', image));
    await until(() => board.flashed(image.length).equals(image), 'the newer image in flash');
    expect(board.flashed(large.length).equals(large)).toBe(false);
    await board.stop();
    board.start(service.url, { suricatta: '-c 2' });
    await until(async () => (await state())?.outcome?.version === '1.2.0', 'the report');
    expect(await outcome()).toBe('installed');
  });

  it('resumes a download that was cut', async () => {
    const proxy = await cuttingProxy(() => service.port, [200_000, 300_000]);
    await start({ PUBLIC_URL: `http://127.0.0.1:${proxy.port}` });
    const large = firmwareBytes(900_000, 'large');
    push('1.1.0', board.pack('1.1.0', large));
    board.start(service.url);
    await until(() => board.flashed(large.length).equals(large), 'the image in flash');
    expect(proxy.cuts()).toBe(2);
    expect(await service.metrics()).toMatch(/artifacts\/:file",status="206"/);
    await board.stop();
    proxy.close();
  });

  itWith(
    ['zck', 'zck_read_header'],
    'downloads only the parts that it lacks, by several ranges in one request',
    async () => {
      const proxy = await cuttingProxy(() => service.port, []);
      await start();
      const old = firmwareBytes(2_000_000, 'old');
      const changed = Buffer.from(old);
      for (const at of [100_000, 500_000, 900_000, 1_300_000, 1_700_000])
        firmwareBytes(1_000, `${at}`).copy(changed, at);
      const source = join(board.folder, 'source');
      writeFileSync(source, old);
      const { file, header } = board.zchunk(changed);
      const properties = `url = "http://127.0.0.1:${proxy.port}/firmware?device=gateway&version=1.1.0&file=gateway.zck"; source = "${source}"; chain = "raw";`;
      const swu = board.pack('1.1.0', header, `type = "delta"; properties: { ${properties} };`);
      registry.pushFiles('gateway', '1.1.0', { 'gateway.swu': swu, 'gateway.zck': file });
      board.start(service.url);
      await until(() => board.flashed(changed.length).equals(changed), 'the image in flash');
      expect(proxy.requests()).toMatch(/Range: bytes=\d+-\d+,\d+-\d+/i);
      expect(await service.metrics()).toMatch(/path="\/firmware",status="206"/);
      expect(proxy.received()).toBeLessThan(changed.length / 2);
      proxy.close();
    },
  );

  it('sends its token, and downloads with the link alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-swupdate-tokens-'));
    const token = '0123456789abcdef0123456789abcdef';
    const hash = createHash('sha256').update(token).digest('hex');
    writeFileSync(join(folder, 'tokens'), `gateway sha256:${hash}\n`);
    await start({ DEVICE_TOKENS_PATH: join(folder, 'tokens') });
    push('1.1.0', board.pack('1.1.0', image));
    board.start(service.url, { token, suricatta: '--disable-token-for-dwl' });
    await until(() => board.flashed(image.length).equals(image), 'the image in flash');
    rmSync(folder, { recursive: true, force: true });
  });
});

/** A proxy that ends a connection after so many bytes of the server, once for each number. */
async function cuttingProxy(
  to: () => number,
  after: number[],
): Promise<{ port: number; cuts: () => number; requests: () => string; received: () => number; close: () => void }> {
  const wanted = after.length;
  let requests = '';
  let received = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect({ port: to(), host: '127.0.0.1' });
    let bytes = 0;
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
    client.on('data', (piece: Buffer) => {
      requests += piece.toString('latin1');
      upstream.write(piece);
    });
    upstream.on('data', (piece: Buffer) => {
      bytes += piece.length;
      received += piece.length;
      const [limit = Infinity] = after;
      if (bytes <= limit) {
        client.write(piece);
        return;
      }
      after.shift();
      client.end(piece.subarray(0, Math.max(0, piece.length - (bytes - limit))));
      upstream.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cuts: () => wanted - after.length,
    requests: () => requests,
    received: () => received,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
