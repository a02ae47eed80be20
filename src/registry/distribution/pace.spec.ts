import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { firmwareBytes } from '../../../test/support/bytes.js';
import { FakeRegistry, sha256 } from '../../../test/support/fake-registry.js';
import { until } from '../../../test/support/service.js';
import { gather, parseSettings } from '../../config/index.js';
import type { Descriptor, Digest } from '../../oci/index.js';
import { createRegistry } from '../index.js';
import { Pace } from './pace.js';

const never = new AbortController().signal;
const small = firmwareBytes(40_000);
/** So large that the deadline of the whole download is hours away. */
const huge: Descriptor = { mediaType: 'x', digest: sha256(Buffer.from('huge')) as Digest, size: 4 * 1024 ** 3 };

let fake: FakeRegistry;
let open: number;

beforeEach(async () => {
  fake = await new FakeRegistry().start();
  open = 0;
});
afterEach(() => fake.stop());

async function blob(descriptor: Descriptor): Promise<Readable> {
  const environment = { REGISTRY_URL: fake.url, REGISTRY_TIMEOUT: '1s' };
  const registry = await createRegistry(parseSettings(await gather({ flags: {}, environment })));
  return registry.fetchBlob('fw', descriptor, never);
}

/** Answers blobs by `write`, at every turn of a timer until it has nothing more to say. */
function every(ms: number, write: (response: ServerResponse, turn: number) => void): void {
  fake.fault = (request, response, kind) => {
    if (kind !== 'blob') return false;
    open++;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from > 0) response.writeHead(206, { 'Content-Range': `bytes ${from}-${huge.size - 1}/${huge.size}` });
    let turn = 0;
    const timer = setInterval(() => {
      write(response, turn++);
    }, ms);
    response.on('close', () => {
      open--;
      clearInterval(timer);
    });
    return true;
  };
}

describe('a blob that drips is given up, long before the deadline of the whole', () => {
  it.each<[string, (response: ServerResponse, turn: number) => void]>([
    ['a byte at a time', (response) => response.write('x')],
    [
      'after a good beginning',
      (response, turn) => response.write(turn === 0 ? Buffer.alloc(300_000) : Buffer.alloc(3)),
    ],
    [
      'a connection for each byte',
      (response) => {
        response.write('x', () => response.socket?.destroy());
      },
    ],
  ])('%s', async (_name, write) => {
    every(20, write);
    // Were it not given up, the test would run into its own deadline.
    await expect((await blob(huge)).toArray()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/bytes a second/),
    });
    await until(() => open === 0, 'the connection to be closed');
  });
});

it('a body that comes slowly, but comes, is read', async () => {
  fake.putBlob('fw', small);
  every(50, (response, turn) => {
    const at = turn * 1000;
    response.write(small.subarray(at, at + 1000));
    if (at + 1000 >= small.length) response.end();
  });
  const read = await blob({ mediaType: 'x', digest: sha256(small) as Digest, size: small.length });
  expect(Buffer.concat((await read.toArray()) as Buffer[]).equals(small)).toBe(true);
});

it('the time that the reader takes does not count', async () => {
  async function* bytes(): AsyncGenerator<Buffer> {
    for (let i = 0; i < 5; i++) yield await Promise.resolve(Buffer.from([i]));
  }
  let length = 0;
  for await (const piece of new Pace('a blob', 50).of(bytes())) {
    length += piece.length;
    // A disk that is slow, or a CPU that is busy.
    const until = performance.now() + 60;
    while (performance.now() < until);
  }
  expect(length).toBe(5);
});
