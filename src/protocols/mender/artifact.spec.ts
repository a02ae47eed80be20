import { describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import { artifactOf, artifactWith } from '../../../test/support/mender-artifact.js';
import { tarOf } from '../../../test/support/tar.js';
import { readArtifact } from './artifact.js';

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const V3 = json({ artifact_provides: { artifact_name: 'rel-2' }, artifact_depends: { device_type: ['a', 'b'] } });
const header = (...bytes: Buffer[]): Buffer =>
  tarOf(...bytes.map((content) => ({ path: 'header-info', bytes: content })));

/** In pieces of 100 bytes, as they may come from a disk. */
async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 100) yield await Promise.resolve(bytes.subarray(at, at + 100));
}
const read = (bytes: Buffer): Promise<unknown> => readArtifact(pieces(bytes));

describe('the header of a Mender artifact', () => {
  const found = { name: 'rel-2', deviceTypes: ['a', 'b'] };

  it.each([
    ['with gzip', artifactOf('rel-2', ['a', 'b'], Buffer.alloc(5_000))],
    ['without compression', artifactWith({ path: 'manifest' }, { path: 'header.tar', bytes: header(V3) })],
    [
      'after a signature',
      artifactWith(
        { path: 'manifest' },
        { path: 'manifest.sig' },
        { path: 'header.tar.gz', bytes: gzipSync(header(V3)) },
      ),
    ],
    [
      'of version 2',
      artifactWith({
        path: 'header.tar',
        bytes: header(json({ artifact_name: 'rel-2', device_types_compatible: ['a', 'b'] })),
      }),
    ],
    ['whose end is missing', artifactOf('rel-2', ['a', 'b'], Buffer.alloc(5_000)).subarray(0, 4_000)],
  ])('%s has a name and device types', async (_name, bytes) => {
    await expect(read(bytes)).resolves.toEqual(found);
  });

  it.each([
    ['no artifact', Buffer.alloc(10_000, 7), 'its header cannot be read'],
    ['nothing', Buffer.alloc(0), 'it is no Mender artifact'],
    ['another tar', tarOf({ path: 'firmware.bin', bytes: Buffer.alloc(10) }), 'it is no Mender artifact'],
    [
      'a newer format',
      tarOf({ path: 'version', bytes: json({ format: 'mender', version: 9 }) }),
      'version 9 of the format',
    ],
    ['no header', artifactWith({ path: 'manifest' }), 'it has no header'],
    [
      'a cut header',
      artifactWith({ path: 'header.tar.gz', bytes: gzipSync(header(V3)) }).subarray(0, 1_600),
      'cannot be read',
    ],
    ['a broken gzip', artifactWith({ path: 'header.tar.gz', bytes: Buffer.alloc(100, 1) }), 'cannot be read'],
    ['xz', artifactWith({ path: 'header.tar.xz', bytes: Buffer.alloc(100) }), '--compression gzip'],
    ['an empty header', artifactWith({ path: 'header.tar', bytes: tarOf() }), 'does not begin with header-info'],
    ['another file first', artifactWith({ path: 'header.tar', bytes: tarOf({ path: 'x' }) }), 'does not begin'],
    ['no types', artifactWith({ path: 'header.tar', bytes: header(json({ artifact_name: 'x' })) }), 'lacks a name'],
    ['no JSON', artifactWith({ path: 'header.tar', bytes: header(Buffer.from('{')) }), 'not JSON'],
    ['a bomb', artifactWith({ path: 'header.tar.gz', bytes: gzipSync(header(Buffer.alloc(50_000_000))) }), 'too large'],
    [
      'a lie about its size',
      artifactWith({ path: 'header.tar', bytes: tarOf({ path: 'header-info', size: 1e11 }) }),
      'too large',
    ],
  ])('of %s is refused with a reason', async (_name, bytes, reason) => {
    await expect(read(bytes)).rejects.toThrow(reason);
  });
});
