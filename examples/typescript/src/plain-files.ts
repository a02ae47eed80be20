import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  digestOf,
  isDigest,
  MediaType,
  OtaError,
  parseManifest,
  Registry,
  verified,
  type Descriptor,
  type Digest,
  type FetchedManifest,
} from 'otaflux';

/** One file, and the manifest that describes it. */
interface File {
  readonly path: string;
  readonly modifiedMs: number;
  readonly firmware: Descriptor;
  readonly manifest: Buffer;
  readonly descriptor: Descriptor;
}

/**
 * Serves firmware from a folder of plain files: `FOLDER/DEVICE/VERSION.bin`, such as `firmware/line-1/sensor/1.4.0.bin`.
 * Each file is described by an OCI manifest that exists in memory only.
 */
export class PlainFiles extends Registry {
  /** By path. A file is read again when its size or its modification time changes. */
  private readonly files = new Map<string, File>();

  constructor(private readonly folder: string) {
    super();
  }

  override async listTags(repository: string): Promise<string[]> {
    const names = await answered(readdir(join(this.folder, repository)));
    return names.filter((name) => name.endsWith('.bin')).map((name) => name.slice(0, -'.bin'.length));
  }

  override async resolve(repository: string, reference: string): Promise<Descriptor> {
    return (await this.find(repository, reference)).descriptor;
  }

  override async fetchManifest(repository: string, descriptor: Descriptor): Promise<FetchedManifest> {
    const { manifest: bytes } = await this.find(repository, descriptor.digest);
    return { descriptor, bytes, content: parseManifest(bytes, descriptor.mediaType) };
  }

  override async fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable> {
    const { path } = await this.find(repository, blob.digest);
    // Fails at the end of the stream if the file has changed since its digest was computed.
    return Readable.from(verified(createReadStream(path, { signal }), blob), { objectMode: false });
  }

  /** Files have no signatures. */
  override listReferrers(): Promise<Descriptor[]> {
    return Promise.resolve([]);
  }

  override async ping(): Promise<void> {
    await answered(readdir(this.folder)).catch(() => {
      throw new OtaError(
        'unavailable',
        `cannot read the folder ${this.folder}. Create it, or set FIRMWARE_DIR to the folder with the firmware`,
      );
    });
  }

  /** The file of a tag, of a manifest digest or of a firmware digest. */
  private async find(repository: string, reference: string): Promise<File> {
    if (!isDigest(reference)) return this.read(join(this.folder, repository, `${reference}.bin`));
    for (const tag of await this.listTags(repository)) {
      const file = await this.read(join(this.folder, repository, `${tag}.bin`));
      if (file.descriptor.digest === reference || file.firmware.digest === reference) return file;
    }
    throw new OtaError('absent', `${repository} has no ${reference}`);
  }

  private async read(path: string): Promise<File> {
    const { size, mtimeMs: modifiedMs } = await answered(stat(path));
    const known = this.files.get(path);
    if (known?.modifiedMs === modifiedMs && known.firmware.size === size) return known;
    const firmware = { mediaType: MediaType.octetStream, digest: await answered(digestOfFile(path)), size };
    const manifest = manifestOf(firmware);
    const descriptor = { mediaType: MediaType.ociManifest, digest: digestOf(manifest), size: manifest.length };
    const file = { path, modifiedMs, firmware, manifest, descriptor };
    this.files.set(path, file);
    return file;
  }
}

function manifestOf(firmware: Descriptor): Buffer {
  const empty = Buffer.from('{}');
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociEmpty, digest: digestOf(empty), size: empty.length },
      layers: [firmware],
    }),
  );
}

async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

/** A file that does not exist is an answer: the device gets 404. Every other error means that the folder cannot be read now. */
async function answered<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (cause) {
    const { code = 'unknown error', path = 'the folder' } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new OtaError('absent', `there is no ${path}`, { cause });
    throw new OtaError('unavailable', `cannot read ${path} (${code})`, { cause });
  }
}
