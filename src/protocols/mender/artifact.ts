import { createGunzip } from 'node:zlib';
import * as zlib from 'node:zlib';
import { pipeline, Readable, type Transform } from 'node:stream';
import { z } from 'zod';
import { OtaError } from '../../errors.js';
import { ByteReader, TarReader, type TarEntry } from '../../firmware/index.js';

/** What the header of a Mender artifact says. */
export interface MenderArtifact {
  /** The name that a device reports when it runs it. */
  readonly name: string;
  /** The device types that it is for. The offer must contain exactly this list. */
  readonly deviceTypes: readonly string[];
}

/** Thrown for a file that no Mender client can install, or whose header cannot be read. Its message says why. */
export class NoMenderArtifact extends Error {}

/**
 * The header is at the beginning, but after the list of checksums, which grows with the number of files, and after a
 * signature.
 */
export const MAX_HEADER_BYTES = 8 * 1024 * 1024;
/** Real ones have less than a kilobyte. */
const MAX_INFO_BYTES = 256 * 1024;
const MAX_ENTRIES_BEFORE = 8;
const HEADER = /^header\.tar(?:\.(\w+))?$/;
const VERSIONS = [2, 3];

const name = z.string().min(1).max(256);
const types = z.array(name).min(1).max(1_000);
const version = z.object({ format: z.literal('mender'), version: z.number() });
/** Version 3, and version 2, of the format (mender-artifact, artifact-format-v3.md and artifact-format-v2.md). */
const info = z.union([
  z
    .object({
      artifact_provides: z.object({ artifact_name: name }),
      artifact_depends: z.object({ device_type: types }),
    })
    .transform((read) => ({
      name: read.artifact_provides.artifact_name,
      deviceTypes: read.artifact_depends.device_type,
    })),
  z
    .object({ artifact_name: name, device_types_compatible: types })
    .transform((read) => ({ name: read.artifact_name, deviceTypes: read.device_types_compatible })),
]);

/**
 * Reads name and device types from the header of a Mender artifact. Reads no more than it needs. Rejects with
 * NoMenderArtifact if it is none, or cannot be read; otherwise with the error of `source`.
 */
export async function readArtifact(source: AsyncIterable<Buffer>): Promise<MenderArtifact> {
  const upstream = source[Symbol.asyncIterator]();
  try {
    const tar = new TarReader(new ByteReader(upstream));
    const first = await broken(tar.next());
    if (first?.path !== 'version') throw new NoMenderArtifact('it is no Mender artifact');
    const format = version.safeParse(await json(first));
    if (!format.success) throw new NoMenderArtifact('it is no Mender artifact');
    if (!VERSIONS.includes(format.data.version))
      throw new NoMenderArtifact(`it has version ${format.data.version} of the format, expected 2 or 3`);
    for (let entries = 0; entries < MAX_ENTRIES_BEFORE; entries++) {
      const entry = await broken(tar.next());
      if (!entry) break;
      const match = HEADER.exec(entry.path);
      if (match) return await inHeader(entry, match[1]);
    }
    throw new NoMenderArtifact('it has no header');
  } finally {
    await upstream.return?.();
  }
}

async function inHeader(header: TarEntry, compression: string | undefined): Promise<MenderArtifact> {
  const unpack = compression === undefined ? undefined : decompressor(compression);
  // An error of the decompressor arrives at the reader below.
  if (unpack) pipeline(Readable.from(header.read(), { objectMode: false }), unpack, () => undefined);
  try {
    const bytes = unpack ? (unpack[Symbol.asyncIterator]() as AsyncIterator<Buffer>) : header.read();
    const first = await broken(new TarReader(new ByteReader(bytes)).next());
    if (first?.path !== 'header-info') throw new NoMenderArtifact('its header does not begin with header-info');
    const read = info.safeParse(await json(first));
    if (!read.success) throw new NoMenderArtifact('its header-info lacks a name or device types');
    return read.data;
  } finally {
    unpack?.destroy();
  }
}

function decompressor(compression: string): Transform {
  if (compression === 'gz') return createGunzip();
  const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform };
  if (compression === 'zst' && createZstdDecompress) return createZstdDecompress();
  throw new NoMenderArtifact(
    `its header is compressed with ${compression === 'zst' ? 'zstd, which Node.js supports from version 22.15 on' : compression}. Use mender-artifact --compression gzip, or none`,
  );
}

async function json(entry: TarEntry): Promise<unknown> {
  if (entry.type !== 'file' || entry.sizeBytes > MAX_INFO_BYTES) throw new NoMenderArtifact('its header is too large');
  const pieces: Buffer[] = [];
  for await (const piece of entry.read()) pieces.push(piece);
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch {
    throw new NoMenderArtifact('its header is not JSON');
  }
}

/** A broken tar or gzip is an answer about this file. */
async function broken<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof OtaError && error.code !== 'protocol') throw error;
    throw new NoMenderArtifact(`its header cannot be read: ${error instanceof Error ? error.message : 'broken'}`);
  }
}
