import type { Deliverable, Release } from '../firmware/index.js';
import type { Validators } from './conditions.js';

/** The parts of all responses with the bytes of an image. Headers are flat lists, as `writeHead` accepts them. */
export interface Representation {
  readonly validators: Validators;
  /** Headers of every response, without type, length and range. */
  readonly common: readonly string[];
  /** Headers of a response with all bytes. */
  readonly whole: readonly string[];
  readonly contentType: string;
}

/** The parts of all responses about a release, built once. */
export interface Prepared extends Representation {
  /** The body is ASCII, because a version is. */
  readonly version: { readonly body: string; readonly headers: readonly string[] };
  /** UTF-8: the name of a signer may contain any letter. */
  readonly json: { readonly body: Buffer; readonly headers: readonly string[] };
}

/** Number of hex digits in the ETag: Zephyr's fota_http only resumes with validators under 64 characters. */
const ETAG_DIGITS = 32;

const prepared = new WeakMap<Release, Prepared>();

/** A proxy may store a response, but must revalidate it before it sends it to another device. */
const CACHE = ['Cache-Control', 'no-cache'] as const;

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
  return {
    version: {
      body,
      headers: [
        'Content-Type',
        'text/plain; charset=utf-8',
        'Content-Length',
        String(Buffer.byteLength(body)),
        ...CACHE,
      ],
    },
    json: {
      body: json,
      headers: ['Content-Type', 'application/json', 'Content-Length', String(json.length), 'Vary', 'Accept', ...CACHE],
    },
    ...representationOf(release),
  };
}

/** Returns the parts of responses with the bytes of a release or of an image. */
export function representationOf(
  { firmware, currentSince }: Deliverable,
  contentType = 'application/octet-stream',
): Representation {
  const etag = `"${firmware.sha256.slice(0, ETAG_DIGITS)}"`;
  const common = ['ETag', etag, 'Last-Modified', currentSince.toUTCString(), 'Accept-Ranges', 'bytes', ...CACHE];
  return {
    validators: { etag, lastModifiedMs: currentSince.getTime() },
    common,
    whole: ['Content-Type', contentType, 'Content-Length', String(firmware.sizeBytes), ...common],
    contentType,
  };
}
