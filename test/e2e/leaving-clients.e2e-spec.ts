import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { FirmwareStore, type Lease } from '../../src/cache/index.js';
import { Authority } from '../support/authority.js';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry, json } from '../support/fake-registry.js';
import { connectTo } from '../support/raw-client.js';
import { TestService, until, type TestOptions } from '../support/service.js';
import { sample } from '../support/extent.js';

/** More than the kernel's buffers of both ends take, so that a download is under way for as long as nobody reads. */
const firmware = firmwareBytes(24 * 1024 * 1024);

const folder = mkdtempSync(join(tmpdir(), 'otaflux-leaving-'));
const ca = new Authority(folder, 'ca');

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const VERSION = 'GET /version?device=big HTTP/1.1\r\nHost: x\r\n\r\n';
const HEAD = 'HEAD /firmware?device=big HTTP/1.1\r\nHost: x\r\n\r\n';
const GET = 'GET /firmware?device=big HTTP/1.1\r\nHost: x\r\n\r\n';
const RANGE = 'GET /firmware?device=big HTTP/1.1\r\nHost: x\r\nRange: bytes=100-\r\n\r\n';
const SEVERAL =
  'GET /firmware?device=big HTTP/1.1\r\nHost: x\r\nRange: bytes=100-9999999,10000100-10000109,10000200-\r\n\r\n';

const pipelines: Record<string, string[]> = {
  'one download': [GET],
  'one range': [RANGE],
  'several ranges': [SEVERAL],
  'a download, then several ranges, five times': Array.from({ length: 5 }, () => [GET, SEVERAL]).flat(),
  'a version and five downloads': [VERSION, GET, GET, GET, GET, GET],
  'a version and five ranges': [VERSION, RANGE, RANGE, RANGE, RANGE, RANGE],
  'two headers, a version and two downloads': [HEAD, HEAD, VERSION, GET, RANGE],
  'a download, then versions and headers': [GET, VERSION, HEAD, VERSION, HEAD],
  'twenty downloads': Array.from({ length: 20 }, () => GET),
};

/** When a client leaves, by how much of the answers it has read. */
const leavings: Record<string, number> = {
  'without reading': 0,
  'after the first byte': 1,
  'within the first answer': 1000,
  'in the middle of a body': 5_000_000,
  'at the start of the second body': firmware.length + 2_000,
};

const schemes = ['http', 'https'] as const;
const places = ['memory', 'disk'] as const;
const cases = schemes.flatMap((scheme) => places.map((place) => ({ scheme, place })));

describe.each(sample(cases, 2))('a client that leaves, over $scheme, with firmware in $place,', ({ scheme, place }) => {
  const registry = new FakeRegistry();
  const cacheDir = join(folder, `${scheme}-${place}`);
  let service: TestService;
  let tls: ConnectionOptions | undefined;
  let leases = 0;

  beforeAll(async () => {
    await registry.start();
    registry.push('big', '1.0.0', firmware);
    const options: TestOptions = place === 'disk' ? { CACHE_DIR: cacheDir, CACHE_SIZE: '0' } : {};
    if (scheme === 'https') {
      const server = ca.issue('server');
      Object.assign(options, { TLS_CERT_PATH: server.cert, TLS_KEY_PATH: server.key });
      tls = { ca: ca.pem };
    }
    service = await TestService.start({ REGISTRY_URL: registry.url, ...options }, {}, tls);
    leases = 0;
    countLeases(service.service.app.get(FirmwareStore, { strict: false }), (change) => (leases += change));
    expect(await version('big')).toBe('1.0.0');
  });

  afterAll(async () => {
    await service.stop();
    await registry.stop();
  });

  /** All that is answered, over a connection of HTTP/1.0 that ends with it. */
  const exchange = async (line: string): Promise<Buffer> => {
    const socket = await connectTo(service.port, tls);
    socket.write(`GET ${line} HTTP/1.0\r\n\r\n`);
    const all = Buffer.concat((await socket.toArray()) as Buffer[]);
    return all.subarray(all.indexOf('\r\n\r\n') + 4);
  };
  const version = async (device: string): Promise<string | undefined> =>
    (await exchange(`/version?device=${device}`)).toString().split('\n')[0];

  /** Everything that a download takes is given back. */
  const settled = async (): Promise<void> => {
    await until(async () => (await gauge(service, 'otaflux_device_connections')) === 0, 'no connection');
    await until(async () => (await gauge(service, 'otaflux_downloads')) === 0, 'no download under way');
    await until(() => leases === 0, 'no lease');
    await until(() => openFiles(cacheDir) === 0, 'no open file');
  };

  const combinations = Object.entries(pipelines).flatMap(([name, requests]) =>
    Object.entries(leavings).map(([leaving, bytes]) => ({ name, leaving, requests, bytes })),
  );
  it.each(sample(combinations, 9))('$leaving of $name: nothing is left behind', async ({ requests, bytes }) => {
    const socket = await connectTo(service.port, tls);
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(requests.join(''));
    // A pipeline with one body ends where the second would begin.
    const bodies = requests.filter((request) => [GET, RANGE, SEVERAL].includes(request)).length;
    const enough = Math.min(bytes, bodies * (firmware.length - 300));
    let read = 0;
    if (enough > 0)
      await new Promise<void>((resolve) => {
        socket.on('data', (piece: Buffer) => {
          read += piece.length;
          if (read >= enough) resolve();
        });
        socket.resume();
      });
    socket.destroy();
    await settled();
  });

  it('closes its half of the connection in the middle: nothing is left behind', async () => {
    const socket = await connectTo(service.port, tls);
    socket.on('error', () => undefined);
    socket.pause();
    socket.end([VERSION, GET, GET].join(''));
    await until(async () => (await gauge(service, 'otaflux_downloads')) === 1, 'the first download');
    // The second waits for its turn: it holds nothing yet.
    expect(leases).toBe(1);
    socket.destroy();
    await settled();
  });

  it('closes its half of the connection before it has said anything: it is let go at once', async () => {
    const socket = connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => undefined).resume();
    socket.end();
    await once(socket, 'end');
    socket.destroy();
    await settled();
  });

  it('closes its half of the connection behind its requests, and gets its answers whole', async () => {
    const socket = await connectTo(service.port, tls);
    socket.end([VERSION, GET, RANGE].join(''));
    const all = Buffer.concat((await socket.toArray()) as Buffer[]);
    expect(all.subarray(-(firmware.length - 100)).equals(firmware.subarray(100))).toBe(true);
    expect(all.length).toBeGreaterThan(2 * firmware.length);
    await settled();
  });

  it('leaves while a cold server looks for its release: nothing is left behind, also when the release comes', async () => {
    let release: (() => void) | undefined;
    registry.push('late', '1.0.0', firmware);
    registry.fault = (_request, response, kind) => {
      if (kind !== 'tags' || release) return false;
      release = () => {
        json(response, 200, { name: 'late', tags: ['1.0.0'] });
      };
      return true;
    };
    const socket = await connectTo(service.port, tls);
    socket.on('error', () => undefined);
    socket.write(GET.replace('big', 'late'));
    await until(() => release !== undefined, 'the question to the registry');
    socket.destroy();
    await until(async () => (await gauge(service, 'otaflux_device_connections')) === 0, 'no connection');
    registry.fault = () => false;
    release?.();
    await until(async () => (await version('late')) === '1.0.0', 'the release');
    await settled();
  });

  it('is told apart from one that stays: bytes are counted as they are taken', async () => {
    const before = await counters(service);
    const leaving = await connectTo(service.port, tls);
    leaving.on('error', () => undefined);
    leaving.pause();
    leaving.write(GET);
    await until(async () => (await gauge(service, 'otaflux_downloads')) === 1, 'a download under way');
    leaving.destroy();
    await settled();
    const between = await counters(service);
    expect(between.bytes - before.bytes).toBeLessThan(firmware.length);
    expect(between.broken - before.broken).toBe(1);
    expect(between.complete).toBe(before.complete);
    expect((await exchange('/firmware?device=big')).equals(firmware)).toBe(true);
    await settled();
    const after = await counters(service);
    expect(after.bytes - between.bytes).toBe(firmware.length);
    expect(after.complete - between.complete).toBe(1);
    expect(after.broken).toBe(between.broken);
  });

  it('is counted, also for the answers of its pipeline that it did not wait for', async () => {
    const count = async (): Promise<number> => {
      const lines = (await service.metrics()).split('\n');
      return lines
        .filter((line) => line.startsWith('http_requests_total{') && line.includes('path="/firmware"'))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    };
    const before = await count();
    const socket = await connectTo(service.port, tls);
    socket.on('error', () => undefined);
    socket.pause();
    socket.write([VERSION, GET, HEAD, GET, RANGE].join(''));
    await until(async () => (await gauge(service, 'otaflux_downloads')) === 1, 'the first download');
    socket.destroy();
    await settled();
    await until(async () => (await count()) === before + 4, 'four requests of /firmware');
  });

  it('sends rubbish behind its request: it is cut off, and no 400 stands in its firmware', async () => {
    const socket = await connectTo(service.port, tls);
    socket.on('error', () => undefined);
    const pieces: Buffer[] = [];
    socket.write(GET);
    await new Promise((resolve) => socket.once('data', resolve));
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    socket.pause();
    socket.write('RUBBISH\r\n\r\n');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    await closed;
    expect(Buffer.concat(pieces).includes('HTTP/1.1 400')).toBe(false);
    await settled();
  });
});

function countLeases(store: FirmwareStore, count: (change: number) => void): void {
  const open = store.open.bind(store);
  store.open = (sha256): Lease | undefined => {
    const lease = open(sha256);
    if (!lease) return undefined;
    count(1);
    const release = lease.release.bind(lease);
    return Object.assign(lease, {
      release: () => {
        count(-1);
        release();
      },
    });
  };
}

function openFiles(below: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(below);
    } catch {
      return false;
    }
  }).length;
}

async function gauge(service: TestService, name: string): Promise<number> {
  return valueOf(await service.metrics(), name);
}

async function counters(service: TestService): Promise<{ bytes: number; complete: number; broken: number }> {
  const text = await service.metrics();
  return {
    bytes: valueOf(text, 'otaflux_firmware_bytes_sent_total'),
    complete: valueOf(text, 'otaflux_firmware_downloads_total{outcome="complete"}'),
    broken: valueOf(text, 'otaflux_firmware_downloads_total{outcome="broken_off"}'),
  };
}

function valueOf(text: string, name: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}
