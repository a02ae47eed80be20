import { randomUUID } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { OtaError } from '../../errors.js';
import { makeFolder } from '../../folders.js';
import { Annotation, isTag, MediaType, type Descriptor } from '../../oci/index.js';
import { ArtifactWriter, type BlobSource } from '../artifact-writer.js';
import { verified } from '../verified.js';
import { FolderLock } from './folder-lock.js';
import { writeError } from './folder-errors.js';
import { LayoutFiles } from './layout-files.js';

/** Writes OCI image layouts. Readers always see complete files, even with several writers at once. */
export class LayoutWriter extends ArtifactWriter {
  private readonly files: LayoutFiles;

  private constructor(root: string) {
    super();
    this.files = new LayoutFiles(root);
  }

  /** Returns a writer for the folder `root`. Creates the folder if it does not exist. */
  static async open(root: string): Promise<LayoutWriter> {
    try {
      await makeFolder(root);
    } catch (error) {
      throw await writeError(error, root);
    }
    return new LayoutWriter(root);
  }

  async writeBlob(
    repository: string,
    blob: BlobSource,
    signal: AbortSignal,
    onProgress?: (bytes: number) => void,
  ): Promise<boolean> {
    const path = this.files.blobPath(repository, blob.descriptor.digest);
    const existing = await stat(path).catch(() => undefined);
    if (existing?.size === blob.descriptor.size) return false;
    await this.replace(path, verified(blob.open() as AsyncIterable<Buffer>, blob.descriptor), signal, onProgress);
    return true;
  }

  async writeManifest(
    repository: string,
    reference: string,
    descriptor: Descriptor,
    bytes: Buffer,
    signal: AbortSignal,
  ): Promise<boolean> {
    await this.writeBlob(repository, { descriptor, open: () => Readable.from([bytes]) }, signal);
    const directory = this.files.directory(repository);
    await new FolderLock(join(directory, '.index.lock')).hold(signal, async (demandLock) => {
      const entries = await this.currentEntries(repository);
      const manifests = withEntry(entries, descriptor, isTag(reference) ? reference : undefined);
      await demandLock();
      await this.replaceJson(
        join(directory, 'index.json'),
        { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests },
        signal,
      );
      await this.replaceJson(join(directory, 'oci-layout'), { imageLayoutVersion: '1.0.0' }, signal);
    });
    return true;
  }

  async deleteTag(repository: string, tag: string, signal: AbortSignal): Promise<void> {
    const directory = this.files.directory(repository);
    await new FolderLock(join(directory, '.index.lock')).hold(signal, async (demandLock) => {
      const entries = await this.files.entries(repository);
      const manifests = entries.filter((entry) => entry.annotations?.[Annotation.refName] !== tag);
      await demandLock();
      await this.replaceJson(
        join(directory, 'index.json'),
        { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests },
        signal,
      );
    });
  }

  private async currentEntries(repository: string): Promise<readonly Descriptor[]> {
    return this.files.entries(repository).catch((error: unknown) => {
      if (error instanceof OtaError && error.code === 'absent') return [];
      throw error;
    });
  }

  private async replaceJson(path: string, value: unknown, signal: AbortSignal): Promise<void> {
    await this.replace(path, Readable.from([Buffer.from(JSON.stringify(value))]) as AsyncIterable<Buffer>, signal);
  }

  /** Writes a file under another name and then renames it, so that readers see either the old file or the new one. */
  private async replace(
    path: string,
    content: AsyncIterable<Buffer>,
    signal: AbortSignal,
    onProgress?: (bytes: number) => void,
  ): Promise<void> {
    const temporary = `${path}.${randomUUID()}.tmp`;
    try {
      await makeFolder(dirname(path));
      const handle = await open(temporary, 'wx');
      try {
        let written = 0;
        for await (const chunk of content) {
          signal.throwIfAborted();
          await handle.writeFile(chunk);
          onProgress?.((written += chunk.length));
        }
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw await writeError(error, dirname(path));
    }
  }
}

/** Returns `entries` with `descriptor` under `tag`, or without a tag unless it has one already. */
function withEntry(entries: readonly Descriptor[], descriptor: Descriptor, tag: string | undefined): Descriptor[] {
  const tagOf = (entry: Descriptor): string | undefined => entry.annotations?.[Annotation.refName];
  if (tag === undefined)
    return [...entries, ...(entries.some(({ digest }) => digest === descriptor.digest) ? [] : [descriptor])];
  const others = entries.filter(
    (entry) => tagOf(entry) !== tag && (entry.digest !== descriptor.digest || tagOf(entry) !== undefined),
  );
  return [...others, { ...descriptor, annotations: { ...descriptor.annotations, [Annotation.refName]: tag } }];
}
