import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import { firmwareBytes, versionBody } from '../support/bytes.js';
import { FakeRegistry, type Fault } from '../support/fake-registry.js';
import { TestService, until } from '../support/service.js';
import { tarOf } from '../support/tar.js';
import { sample } from '../support/extent.js';

const TAR = 'application/vnd.oci.image.layer.v1.tar';
const GZIP = `${TAR}+gzip`;
/** More than the connections to a registry, and more than what lies in a socket and its buffers. */
const PUSHES = 40;
const large = firmwareBytes(4 * 1024 * 1024, 'large');
const good = firmwareBytes(10_000);

let registry: FakeRegistry;
let service: TestService;

beforeEach(async () => {
  registry = await new FakeRegistry().start();
  service = await TestService.start({
    REGISTRY_URL: registry.url,
    REGISTRY_TIMEOUT: '3s',
    MAX_FIRMWARE_SIZE: '16MiB',
  });
});
afterEach(async () => {
  await service.stop();
  await registry.stop();
});

/** How many answers of the registry are under way. */
function underWay(): { fault: Fault; count: () => number } {
  let open = 0;
  return {
    count: () => open,
    fault: (_request, response) => {
      open++;
      response.once('close', () => open--);
      return false;
    },
  };
}

describe('many layers whose unpacking ends early do not hold up the registry', () => {
  const layers: [string, string, Buffer, number][] = [
    ['gzip of no tar', GZIP, gzipSync(large), 502],
    ['neither gzip nor tar', GZIP, large, 200],
    ['several files', TAR, tarOf({ path: 'a', bytes: large }, { path: 'b', bytes: good }), 404],
    ['several files, packed', GZIP, gzipSync(tarOf({ path: 'a', bytes: good }, { path: 'b', bytes: large })), 404],
    ['an empty file first', TAR, tarOf({ path: 'a' }, { path: 'b', bytes: large }), 404],
    ['a tar that is broken behind its first file', TAR, broken(), 502],
    ['an empty archive with a long tail', GZIP, gzipSync(Buffer.concat([Buffer.alloc(1024), large])), 404],
    ['more than 16 MiB when it is unpacked', GZIP, gzipSync(tarOf({ path: 'a', bytes: Buffer.alloc(17 << 20) })), 404],
  ];
  it.each(sample(layers, 2))('%s', async (_name, mediaType, layer, status) => {
    const open = underWay();
    registry.fault = open.fault;
    // Another byte in each, so that each has a digest of its own.
    for (let i = 0; i < PUSHES; i++) registry.push(`device${i}`, '1.0.0', numbered(layer, mediaType, i), mediaType);
    registry.push('good', '1.0.0', good);
    for (let i = 0; i < PUSHES; i++) expect((await service.version(`device${i}`)).status).toBe(status);
    expect(await (await service.version('good')).text()).toBe(versionBody('1.0.0', good));
    await until(() => open.count() === 0, 'every answer of the registry to be at its end');
  });
});

it('wrong bytes that hold several files are no verdict on the right ones', async () => {
  const right = tarOf({ path: 'app.bin', bytes: good }, { path: 'folder/', type: 'Directory' });
  const wrong = tarOf({ path: 'app.bin', bytes: good }, { path: 'other.bin' });
  expect(wrong.length).toBe(right.length);
  registry.push('esp32', '1.0.0', good);
  registry.push('esp32', '2.0.0', right, TAR);
  registry.fault = (_request, response, kind) => {
    if (kind !== 'blob') return false;
    response.writeHead(200, { 'Content-Length': wrong.length }).end(wrong);
    return true;
  };
  expect((await service.version('esp32')).status).toBe(502);
  registry.fault = () => false;
  await until(async () => (await service.versionOf('esp32')) === '2.0.0', 'the right bytes', 20_000);
  expect(service.events('release.passed_over')).toEqual([]);
});

/** `layer` with `i` behind its end, where neither tar nor gzip looks. */
function numbered(layer: Buffer, mediaType: string, i: number): Buffer {
  const tail = Buffer.alloc(512);
  if (mediaType === GZIP && layer[0] === 0x1f) return Buffer.concat([layer, Buffer.alloc(i + 1)]);
  if (mediaType === GZIP) return Buffer.concat([layer, Buffer.from([i])]);
  tail[0] = i;
  return Buffer.concat([layer, tail]);
}

function broken(): Buffer {
  const tar = tarOf({ path: 'a', bytes: good }, { path: 'b', bytes: large });
  tar[512 + 10_240 + 10] = 0xff;
  return tar;
}
