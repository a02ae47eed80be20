import { describe, expect, it } from '@jest/globals';
import {
  digestOf,
  formatReference,
  inlineContent,
  isDigest,
  isRepositoryName,
  isTag,
  MediaType,
  packingOf,
  parseDigest,
  parseManifest,
  parseReference,
  readable,
  type Manifest,
} from './index.js';

const bytes = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const digest = digestOf(Buffer.from('x'));
const descriptor = { mediaType: 'application/octet-stream', digest, size: 1 };
const manifest = { schemaVersion: 2, mediaType: MediaType.ociManifest, config: descriptor, layers: [descriptor] };

describe('Digest', () => {
  it('knows sha256 and sha512, and nothing else', () => {
    expect(isDigest(digest)).toBe(true);
    expect(isDigest(digestOf(Buffer.from('x'), 'sha512'))).toBe(true);
    for (const wrong of [
      '',
      'sha256:',
      digest.slice(0, -1),
      digest.toUpperCase(),
      `md5:${'a'.repeat(32)}`,
      `${digest}\n`,
    ]) {
      expect(isDigest(wrong)).toBe(false);
      expect(() => parseDigest(wrong)).toThrow(/not a digest/);
    }
  });
});

describe('names', () => {
  it.each(['a', 'esp32', 'a/b/c', 'a.b_c__d-e---f/0', 'x'.repeat(255)])('accepts the repository %s', (name) => {
    expect(isRepositoryName(name)).toBe(true);
  });

  it.each([
    '',
    'A',
    'a//b',
    '/a',
    'a/',
    'a..b',
    '../a',
    'a/../b',
    'a___b',
    '-a',
    'a-',
    'a b',
    'a\n',
    'ä',
    'x'.repeat(256),
    'a:b',
    'a@b',
    'a%2fb',
  ])('refuses the repository %j', (name) => {
    expect(isRepositoryName(name)).toBe(false);
  });

  it('knows tags', () => {
    expect(isTag('1.2.0_build.5')).toBe(true);
    expect(isTag('x'.repeat(128))).toBe(true);
    for (const wrong of ['', '.a', '-a', 'a+b', 'a/b', 'x'.repeat(129), 'a\n']) expect(isTag(wrong)).toBe(false);
  });

  it('reads and writes references', () => {
    for (const text of ['fw/esp32:1.0.0', `fw/esp32@${digest}`])
      expect(formatReference(parseReference(text))).toBe(text);
    for (const wrong of ['fw/esp32', 'fw:', ':1', 'FW:1', 'fw@sha256:1'])
      expect(() => parseReference(wrong)).toThrow(/not a reference/);
  });
});

describe('packingOf', () => {
  it.each([
    ['application/vnd.oci.image.layer.v1.tar', 'tar'],
    ['application/vnd.oci.image.layer.v1.tar+gzip', 'tar+gzip'],
    ['application/vnd.oci.image.layer.v1.tar+zstd', 'tar+zstd'],
    ['application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', 'tar+gzip'],
    ['application/vnd.docker.image.rootfs.diff.tar.gzip', 'tar+gzip'],
    ['application/vnd.docker.image.rootfs.diff.tar', 'tar'],
    ['application/octet-stream', 'none'],
    ['application/vnd.espressif.esp32.firmware.v1+binary', 'none'],
  ])('calls %s %s', (mediaType, packing) => {
    expect(packingOf(mediaType)).toBe(packing);
  });
});

describe('parseManifest', () => {
  it('reads a manifest, by the type that the registry gives it', () => {
    expect(parseManifest(bytes(manifest), MediaType.ociManifest)).toMatchObject({
      kind: 'manifest',
      layers: [{ digest }],
    });
    expect(parseManifest(bytes({ ...manifest, mediaType: undefined }), MediaType.ociManifest)).toMatchObject({
      kind: 'manifest',
    });
    expect(parseManifest(bytes({ ...manifest, annotations: null, layers: null }), '')).toMatchObject({ layers: [] });
  });

  it('reads an index', () => {
    const index = { schemaVersion: 2, manifests: [{ ...descriptor, mediaType: MediaType.ociManifest }] };
    expect(parseManifest(bytes(index), MediaType.ociIndex)).toMatchObject({ kind: 'index', manifests: [{ digest }] });
    expect(parseManifest(bytes(index), '')).toMatchObject({ kind: 'index' });
  });

  it.each([
    ['not JSON', '<html>', MediaType.ociManifest, /not valid JSON/],
    ['an array', [], MediaType.ociManifest, /not a JSON object/],
    ['schema 1', { schemaVersion: 1 }, MediaType.dockerSchema1Signed, /schema 1 is not supported/],
    ['an unknown type', manifest, 'text/html', /unknown media type "text\/html"/],
    ['another type in the body', manifest, MediaType.ociIndex, /states media type/],
    [
      'a bad digest',
      { ...manifest, layers: [{ ...descriptor, digest: 'sha256:zz' }] },
      MediaType.ociManifest,
      /layers\.0\.digest/,
    ],
    [
      'a negative size',
      { ...manifest, layers: [{ ...descriptor, size: -1 }] },
      MediaType.ociManifest,
      /layers\.0\.size/,
    ],
    ['no config', { ...manifest, config: undefined }, MediaType.ociManifest, /config/],
  ])('refuses %s, and says what is wrong', (_name, body, type, message) => {
    expect(() => parseManifest(bytes(body), type)).toThrow(
      expect.objectContaining({ code: 'protocol', message: expect.stringMatching(message) }),
    );
  });

  it('takes null for missing, and does not check what is not needed', () => {
    const strange = {
      ...manifest,
      artifactType: null,
      subject: null,
      annotations: { good: 'yes', empty: null, number: 7 },
      config: { ...descriptor, digest: 'blake3:00' },
      layers: [{ ...descriptor, platform: null, data: null, artifactType: null, annotations: null, urls: null }],
    };
    expect(parseManifest(bytes(strange), MediaType.ociManifest)).toMatchObject({
      kind: 'manifest',
      config: undefined,
      annotations: { good: 'yes' },
      layers: [{ digest }],
    });
    const wrong = { ...manifest, config: null, artifactType: 7, subject: 'x', annotations: [], mediaType: null };
    expect(parseManifest(bytes(wrong), MediaType.ociManifest)).toMatchObject({ layers: [{ digest }] });
    const odd = { ...descriptor, platform: 'linux', data: 7, artifactType: {}, annotations: 'x' };
    expect(parseManifest(bytes({ ...manifest, layers: [odd] }), '')).toMatchObject({ layers: [descriptor] });
  });

  it('reads the other entries of an index where one cannot be understood', () => {
    const child = { ...descriptor, mediaType: MediaType.ociManifest };
    const entries = [
      null,
      7,
      {},
      { ...child, digest: 'blake3:00' },
      { ...child, size: '1' },
      { ...child, mediaType: null },
    ];
    const index = (manifests: unknown[]): Buffer => bytes({ schemaVersion: 2, manifests });
    const platforms = [
      { ...child, platform: { os: 'linux' } },
      { ...child, platform: { architecture: null, os: 'unknown' } },
    ];
    expect(parseManifest(index([...entries, ...platforms]), MediaType.ociIndex)).toMatchObject({
      manifests: [
        { digest, platform: { os: 'linux' } },
        { digest, platform: { os: 'unknown' } },
      ],
    });
    expect(() => parseManifest(index(entries.slice(3)), MediaType.ociIndex)).toThrow(/manifests\.0\.digest/);
  });

  it('keeps the place of a layer that cannot be understood beside one that can', () => {
    const bad = { ...descriptor, digest: 'blake3:00', annotations: { title: 'x' } };
    const { layers } = parseManifest(bytes({ ...manifest, layers: [bad, descriptor] }), '') as Manifest;
    expect(layers).toMatchObject([
      { fault: expect.stringMatching(/layers\.0\.digest/), annotations: { title: 'x' } },
      { digest },
    ]);
    expect(() => readable(layers[0]!)).toThrow(expect.objectContaining({ code: 'protocol' }));
    expect(readable(layers[1]!)).toMatchObject({ digest });
  });

  it('compares media types without case and parameters', () => {
    const loud = {
      ...manifest,
      mediaType: MediaType.ociManifest.toUpperCase(),
      layers: [{ ...descriptor, mediaType: 'Application/VND.OCI.image.layer.v1.TAR' }],
    };
    for (const type of [MediaType.ociManifest, `${MediaType.ociManifest.toUpperCase()}; charset=utf-8`, ''])
      expect(parseManifest(bytes(loud), type)).toMatchObject({
        mediaType: MediaType.ociManifest,
        layers: [{ mediaType: MediaType.ociTar }],
      });
    expect(packingOf('application/vnd.oci.image.layer.v1.tar+GZIP')).toBe('tar+gzip');
  });

  it('takes inline content only at its size', () => {
    expect(inlineContent({ ...descriptor, data: 'eA==' })).toEqual(Buffer.from('x'));
    expect(inlineContent(descriptor)).toBeUndefined();
    expect(() => inlineContent({ ...descriptor, data: 'e30=' })).toThrow(/has 2 bytes, expected 1/);
    expect(() => inlineContent({ ...descriptor, data: 'eQ==' })).toThrow(/another digest/);
  });
});
