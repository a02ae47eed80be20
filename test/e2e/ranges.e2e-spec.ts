import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { partsOf } from '../support/multipart.js';
import { RawClient, type RawResponse } from '../support/raw-client.js';
import { TestService, type TestOptions } from '../support/service.js';

const SIZE = 1_000_000;
const firmware = firmwareBytes(SIZE);
const zck = firmwareBytes(900_000, 'zck');
const folder = mkdtempSync(join(tmpdir(), 'otaflux-ranges-'));
const registry = new FakeRegistry();

beforeAll(async () => {
  await registry.start();
  registry.pushFiles('fw', '1.0.0', { 'firmware.bin': firmware, 'new.zck': zck });
});
afterAll(async () => {
  await registry.stop();
  rmSync(folder, { recursive: true, force: true });
});

const FIRMWARE = '/firmware?device=fw';
const ask = (headers: string, target = FIRMWARE, method = 'GET'): string =>
  `${method} ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;

describe.each<[string, TestOptions]>([
  ['memory', {}],
  ['disk', { CACHE_SIZE: '0', CACHE_DIR: folder }],
])('several ranges in one request, from %s', (_place, options) => {
  let service: TestService;
  let client: RawClient;

  beforeAll(async () => {
    service = await TestService.start({ REGISTRY_URL: registry.url, ...options });
    client = await RawClient.open(service.port);
  });
  afterAll(async () => {
    client.close();
    await service.stop();
  });
  const get = (range: string, headers = '', target = FIRMWARE): Promise<RawResponse> =>
    client.request(ask(`Range: ${range}\r\n${headers}`, target));
  const expectParts = (response: RawResponse, bytes: Buffer, ranges: [number, number][]): void => {
    expect(response.status).toBe(206);
    expect(response.head.length).toBeLessThan(400);
    expect(response.headers.has('content-range')).toBe(false);
    const parts = partsOf(response.headers.get('content-type'), response.body);
    expect(parts.map(({ range }) => range)).toEqual(ranges.map(([a, b]) => `${a}-${b}/${bytes.length}`));
    for (const [i, [start, end]] of ranges.entries()) {
      expect(parts[i]?.contentType).toBe('application/octet-stream');
      expect(parts[i]?.bytes.equals(bytes.subarray(start, end + 1))).toBe(true);
    }
  };

  it.each<[string, [number, number][]]>([
    [
      'bytes=0-9,20-29',
      [
        [0, 9],
        [20, 29],
      ],
    ],
    [
      'bytes=20-29,0-9',
      [
        [20, 29],
        [0, 9],
      ],
    ],
    [
      'BYTES=0-9, 20-29 ,\t40-49',
      [
        [0, 9],
        [20, 29],
        [40, 49],
      ],
    ],
    [
      'bytes=,0-9,,20-29,',
      [
        [0, 9],
        [20, 29],
      ],
    ],
    [
      'bytes=0-0,-1',
      [
        [0, 0],
        [SIZE - 1, SIZE - 1],
      ],
    ],
    [
      'bytes=10-,0-3',
      [
        [10, SIZE - 1],
        [0, 3],
      ],
    ],
    [
      'bytes=0-9,5-14,30-39',
      [
        [0, 14],
        [30, 39],
      ],
    ],
    [
      'bytes=30-39,0-9,10-19',
      [
        [30, 39],
        [0, 19],
      ],
    ],
    [
      'bytes=0-9,2000000-,20-29',
      [
        [0, 9],
        [20, 29],
      ],
    ],
    [
      'bytes=0-99999,300000-600000,999990-2000000',
      [
        [0, 99999],
        [300000, 600000],
        [999990, SIZE - 1],
      ],
    ],
    [
      `bytes=${Array.from({ length: 32 }, (_, i) => `${i * 100}-${i * 100 + 9}`).join(',')}`,
      Array.from({ length: 32 }, (_, i) => [i * 100, i * 100 + 9]),
    ],
  ])('%s: 206 with a part for each', async (range, ranges) => {
    expectParts(await get(range), firmware, ranges);
  });

  it.each<[string, [number, number]]>([
    ['bytes=0-9,10-19', [0, 19]],
    ['bytes=0-99,10-19,50-149', [0, 149]],
    ['bytes=0-,0-,0-,0-', [0, SIZE - 1]],
    ['bytes=0-9,1000000-', [0, 9]],
    ['bytes=-0,5-9', [5, 9]],
    ['bytes=,7-8', [7, 8]],
  ])('%s: one range remains: plain 206', async (range, [start, end]) => {
    const response = await get(range);
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end}/${SIZE}`);
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
    expect(response.body.equals(firmware.subarray(start, end + 1))).toBe(true);
  });

  it.each(['bytes=1000000-,2000000-', 'bytes=-0,-0', 'bytes=1000000-1000001,-0'])('%s: 416', async (range) => {
    const other = await RawClient.open(service.port);
    const response = await other.request(ask(`Range: ${range}\r\n`));
    expect(response.status).toBe(416);
    expect(response.headers.get('content-range')).toBe(`bytes */${SIZE}`);
  });

  it.each([
    `bytes=${Array.from({ length: 33 }, (_, i) => `${i * 100}-${i * 100 + 9}`).join(',')}`,
    `bytes=${Array.from({ length: 1000 }, () => '0-').join(',')}`,
    'bytes=0-9,x',
    'bytes=0-9,30-20',
    'bytes=0-9,-',
    'bytes=,',
    'bytes=0-9;20-29',
    'lines=0-9,20-29',
  ])('%s: 200 with all bytes', async (range) => {
    const response = await get(range);
    expect(response.status).toBe(200);
    expect(response.body.equals(firmware)).toBe(true);
  });

  it('If-Range and If-None-Match decide before the ranges', async () => {
    const range = 'bytes=0-9,20-29';
    const etag = (await get(range)).headers.get('etag') ?? '';
    expectParts(await get(range, `If-Range: ${etag}\r\n`), firmware, [
      [0, 9],
      [20, 29],
    ]);
    expect((await get(range, 'If-Range: "other"\r\n')).status).toBe(200);
    expect((await get(range, `If-None-Match: ${etag}\r\n`)).status).toBe(304);
    const head = await client.request(ask(`Range: ${range}\r\n`, FIRMWARE, 'HEAD'), { head: true });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(SIZE)]);
  });

  it('what the zchunk delta of SWUpdate asks for', async () => {
    const ranges = 'bytes=102388-120310,319396-398708,539975-602580,762522-805930';
    expectParts(
      await get(ranges, 'User-Agent: libcurl-agent/1.0\r\nAccept: */*\r\n', `${FIRMWARE}&file=new.zck`),
      zck,
      [
        [102388, 120310],
        [319396, 398708],
        [539975, 602580],
        [762522, 805930],
      ],
    );
  });

  it('in a pipeline: each answer is whole, in its order', async () => {
    const pipelined = await RawClient.open(service.port);
    const range = ask('Range: bytes=0-499999,600000-999999\r\n');
    pipelined.send([range, ask(''), range, ask('Range: bytes=0-3\r\n')].join(''));
    for (const part of ['several', 'all', 'several', 'one']) {
      const response = await pipelined.receive();
      if (part === 'several')
        expectParts(response, firmware, [
          [0, 499999],
          [600000, 999999],
        ]);
      else expect(response.body.length).toBe(part === 'all' ? SIZE : 4);
    }
    pipelined.close();
  });

  it('over HTTP/1.0: the body has its length, and the connection ends', async () => {
    const old = await RawClient.open(service.port);
    const response = await old.request(`GET ${FIRMWARE} HTTP/1.0\r\nRange: bytes=0-9,20-29\r\n\r\n`);
    expectParts(response, firmware, [
      [0, 9],
      [20, 29],
    ]);
    await old.closed();
  });

  it('as RAUC streams a bundle: the total with the first bytes, then 600 small ranges, then 64 connections', async () => {
    const first = await get('bytes=0-3');
    expect([first.status, first.headers.get('content-range')]).toEqual([206, `bytes 0-3/${SIZE}`]);
    const rangeAt = (i: number): [number, number] => [
      (i * 7919) % (SIZE - 4096),
      ((i * 7919) % (SIZE - 4096)) + (i % 4096),
    ];
    const block = async (by: RawClient, i: number): Promise<void> => {
      const [start, end] = rangeAt(i);
      const response = await by.request(ask(`Range: bytes=${start}-${end}\r\n`));
      expect([response.status, response.headers.get('connection')]).toEqual([206, 'keep-alive']);
      expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end}/${SIZE}`);
      expect(response.body.equals(firmware.subarray(start, end + 1))).toBe(true);
    };
    for (let i = 0; i < 600; i++) await block(client, i);
    const clients = await Promise.all(Array.from({ length: 64 }, () => RawClient.open(service.port)));
    await Promise.all(
      clients.map(async (one, n) => {
        for (let i = 0; i < 20; i++) await block(one, n * 101 + i);
        one.close();
      }),
    );
  });
});
