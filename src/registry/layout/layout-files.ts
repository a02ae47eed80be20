import { open, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { z } from 'zod';
import { OtaError } from '../../errors.js';
import { delay } from '../../timers.js';
import {
  algorithmOf,
  hexOf,
  isRepositoryName,
  parseManifest,
  type Descriptor,
  type Digest,
  MediaType,
} from '../../oci/index.js';
import { demandRoot, readError } from './folder-errors.js';

/** The index of a folder with 100,000 tags has about 30 MB. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
const MAX_REPOSITORIES = 100_000;
/** After this time, a writer that does not replace `index.json` in one step has finished. */
const SETTLE_MS = 50;

/** Paths and files of a folder with one OCI image layout per repository (image-spec 1.1, image-layout.md). */
export class LayoutFiles {
  constructor(readonly root: string) {}

  /** Returns the folder of `repository`, which need not exist. The syntax of names excludes `..` and empty parts. */
  directory(repository: string): string {
    if (!isRepositoryName(repository))
      throw new OtaError('absent', `${JSON.stringify(repository)} is not a repository name`);
    return join(this.root, ...repository.split('/'));
  }

  blobPath(repository: string, digest: Digest): string {
    return join(this.directory(repository), 'blobs', algorithmOf(digest), hexOf(digest));
  }

  /** Rejects with `unavailable` if the root does not exist, is no folder, or cannot be read. */
  async demandRoot(): Promise<void> {
    await demandRoot(this.root);
  }

  /**
   * Returns the entries of the repository's `index.json`, without a cache. Rejects with `absent` if there is no layout.
   */
  async entries(repository: string): Promise<readonly Descriptor[]> {
    await this.demandLayout(repository);
    const path = join(this.directory(repository), 'index.json');
    try {
      return await this.readIndex(path);
    } catch (error) {
      if (!(error instanceof OtaError) || error.code !== 'protocol') throw error;
      await delay(SETTLE_MS);
      return this.readIndex(path);
    }
  }

  /** Returns every repository: all folders with a layout, down to the depth that a name allows. */
  async repositories(): Promise<string[]> {
    const found: string[] = [];
    const open = [''];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      for (const entry of await this.folders(name)) {
        const repository = name ? `${name}/${entry}` : entry;
        if (!isRepositoryName(repository)) continue;
        if (found.length >= MAX_REPOSITORIES)
          throw new OtaError(
            'protocol',
            `${this.root} has more than ${MAX_REPOSITORIES} repositories. Name devices by their ids in --watch`,
          );
        if (await isFile(join(this.directory(repository), 'oci-layout'))) found.push(repository);
        open.push(repository);
      }
    }
    return found;
  }

  private async folders(name: string): Promise<string[]> {
    try {
      const entries = await readdir(join(this.root, name), { withFileTypes: true });
      return entries.filter((entry) => entry.isDirectory() && entry.name !== 'blobs').map((entry) => entry.name);
    } catch (error) {
      if (name !== '') return [];
      await this.demandRoot();
      throw readError(error, this.root);
    }
  }

  /** Opens a file for reading after checking that no link leads out of the root. The caller closes it. */
  async open(path: string): Promise<{ handle: Awaited<ReturnType<typeof open>>; size: number }> {
    try {
      const [root, target] = await Promise.all([realpath(this.root), realpath(path)]);
      if (!target.startsWith(root + sep))
        throw new OtaError(
          'protocol',
          `${path} is a link out of ${this.root}, which is not followed. Copy the files into the folder`,
        );
      const handle = await open(target, 'r');
      const { size } = await handle.stat();
      return { handle, size };
    } catch (error) {
      throw readError(error, path);
    }
  }

  /** Returns the content of a file. Rejects with `protocol` if it is larger than `limit` bytes. */
  async read(path: string, limit: number): Promise<Buffer> {
    const { handle, size } = await this.open(path);
    try {
      if (size > limit)
        throw new OtaError(
          'protocol',
          `${path} has ${size} bytes, more than the limit of ${limit}. Write the folder again with otaflux push, oras or skopeo`,
        );
      return await handle.readFile();
    } catch (error) {
      throw readError(error, path);
    } finally {
      await handle.close();
    }
  }

  private async readIndex(path: string): Promise<readonly Descriptor[]> {
    const bytes = await this.read(path, MAX_INDEX_BYTES);
    const index = namedIn(path, () => parseManifest(bytes, MediaType.ociIndex));
    return index.kind === 'index' ? index.manifests : [];
  }

  /** image-layout.md: a folder is a layout if it contains `oci-layout` with version 1.0.0. */
  private async demandLayout(repository: string): Promise<void> {
    const path = join(this.directory(repository), 'oci-layout');
    try {
      layoutMarker.parse(JSON.parse(await readFile(path, 'utf8')));
    } catch (error) {
      if (error instanceof z.ZodError || error instanceof SyntaxError)
        throw new OtaError(
          'protocol',
          `${path} is not that of an OCI image layout 1.0.0. Write the folder with otaflux push, oras or skopeo`,
        );
      await this.demandRoot();
      const failure = readError(error, path);
      if (failure.code !== 'absent') throw failure;
      throw new OtaError(
        'absent',
        `the folder ${this.root} has no repository ${repository}. Check the device id and --repository-prefix, or push a version with otaflux push`,
        { cause: error },
      );
    }
  }
}

/** What `parse` makes of the file `path`, which its error names. */
function namedIn<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof OtaError) throw new OtaError(error.code, `${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

const layoutMarker = z.object({ imageLayoutVersion: z.literal('1.0.0') });

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
}
