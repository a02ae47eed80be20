import type { Release } from '../firmware/index.js';
import type { Validators } from './conditions.js';

/** The parts of all responses about a release, built once. Headers are flat lists, as `writeHead` accepts them. */
export interface Prepared {
  /** The body is ASCII, because a version is. */
  readonly version: { readonly body: string; readonly headers: readonly string[] };
  /** UTF-8: the name of a signer may contain any letter. */
  readonly json: { readonly body: Buffer; readonly headers: readonly string[] };
  readonly validators: Validators;
  /** Headers of every response of `/firmware`, without length and range. */
  readonly common: readonly string[];
  /** Headers of a response with the complete firmware. */
  readonly whole: readonly string[];
}

/** Number of hex digits in the ETag: Zephyr's fota_http only resumes with validators under 64 characters. */
const ETAG_DIGITS = 32;

const prepared = new WeakMap<Release, Prepared>();

/** Returns the prepared responses of `release`. */
export function prepare(release: Release): Prepared {
  let answers = prepared.get(release);
  if (!answers) prepared.set(release, (answers = build(release)));
  return answers;
}

function build(release: Release): Prepared {
  const { firmware, version } = release;
  const body = `${version}\n${firmware.checksum}\n${firmware.sizeBytes}`;
  const json = Buffer.from(
    JSON.stringify({
      device: release.device,
      version,
      size: firmware.sizeBytes,
      crc32: firmware.crc32,
      checksum: firmware.checksum,
      md5: firmware.md5,
      sha1: firmware.sha1,
      sha256: firmware.sha256,
      manifest: release.manifestDigest,
      signedBy: release.signer?.name,
    }),
  );
  const etag = `"${firmware.sha256.slice(0, ETAG_DIGITS)}"`;
  // A proxy may store a response, but must revalidate it before it sends it to another device.
  const cache = ['Cache-Control', 'no-cache'];
  const common = [
    'ETag',
    etag,
    'Last-Modified',
    release.currentSince.toUTCString(),
    'Accept-Ranges',
    'bytes',
    ...cache,
  ];
  const type = ['Content-Type', 'application/octet-stream'];
  return {
    version: {
      body,
      headers: [
        'Content-Type',
        'text/plain; charset=utf-8',
        'Content-Length',
        String(Buffer.byteLength(body)),
        ...cache,
      ],
    },
    json: {
      body: json,
      headers: ['Content-Type', 'application/json', 'Content-Length', String(json.length), 'Vary', 'Accept', ...cache],
    },
    validators: { etag, lastModifiedMs: release.currentSince.getTime() },
    common,
    whole: [...type, 'Content-Length', String(firmware.sizeBytes), ...common],
  };
}
