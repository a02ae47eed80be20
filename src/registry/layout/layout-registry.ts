import { Readable } from 'node:stream';
import { OtaError } from '../../errors.js';
import {
  Annotation,
  digestOf,
  algorithmOf,
  hexOf,
  isDigest,
  isTag,
  MAX_MANIFEST_BYTES,
  parseManifest,
  type Descriptor,
  type Digest,
} from '../../oci/index.js';
import { mayBeOfType } from '../referrer-filter.js';
import { Registry, type FetchedManifest } from '../registry.js';
import { verified } from '../verified.js';
import { LayoutFiles } from './layout-files.js';

/** Number of cached subjects, by manifest digest. They never change. */
const MAX_SUBJECTS = 10_000;

/** A folder with one OCI image layout per repository, as written by zot, oras, skopeo and `otaflux push`. */
export class LayoutRegistry extends Registry {
  private readonly files: LayoutFiles;
  private readonly subjects = new Map<Digest, Descriptor | undefined>();

  constructor(root: string) {
    super();
    this.files = new LayoutFiles(root);
  }

  async listTags(repository: string): Promise<string[]> {
    return (await this.files.entries(repository)).flatMap((entry) => tagOf(entry) ?? []);
  }

  async resolve(repository: string, reference: string): Promise<Descriptor> {
    const entries = await this.files.entries(repository);
    const named = entries.find((entry) => entry.digest === reference || tagOf(entry) === reference);
    if (named) return named;
    if (!isDigest(reference)) throw new OtaError('absent', `${repository} has no tag ${reference}. Check its tags`);
    const bytes = await this.files.read(this.files.blobPath(repository, reference), MAX_MANIFEST_BYTES);
    return { mediaType: parseManifest(bytes, '').mediaType, digest: reference, size: bytes.length };
  }

  async fetchManifest(repository: string, descriptor: Descriptor): Promise<FetchedManifest> {
    const { digest, mediaType } = descriptor;
    const bytes = await this.files.read(this.files.blobPath(repository, digest), MAX_MANIFEST_BYTES);
    if (digestOf(bytes, algorithmOf(digest)) !== digest)
      throw new OtaError(
        'protocol',
        `manifest is not ${digest}: its bytes have another digest. Check the registry and its storage`,
      );
    return { descriptor: { ...descriptor, size: bytes.length }, bytes, content: parseManifest(bytes, mediaType) };
  }

  async fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable> {
    const { handle } = await this.files.open(this.files.blobPath(repository, blob.digest));
    return Readable.from(verified(handle.createReadStream({ signal }), blob), { objectMode: false });
  }

  async listReferrers(repository: string, digest: Digest, artifactType: string | undefined): Promise<Descriptor[]> {
    const entries = await this.files.entries(repository);
    const found: Descriptor[] = [];
    for (const entry of entries) {
      const subject = await this.subjectOf(repository, entry);
      if (subject === 'unknown' || subject?.digest === digest) found.push(entry);
    }
    const fallback = entries.find((entry) => tagOf(entry) === `${algorithmOf(digest)}-${hexOf(digest).slice(0, 64)}`);
    if (fallback) found.push(...(await this.manifestsOf(repository, fallback)));
    const known = new Map(found.map((entry) => [entry.digest, entry]));
    return mayBeOfType([...known.values()], artifactType);
  }

  override listRepositories(): Promise<string[]> {
    return this.files.repositories();
  }

  async ping(): Promise<void> {
    await this.files.demandRoot();
  }

  /**
   * Returns the subject of `entry`. Returns `unknown` if the file cannot be read now: the entry is then listed, and
   * reading it fails.
   */
  private async subjectOf(repository: string, entry: Descriptor): Promise<Descriptor | 'unknown' | undefined> {
    if (this.subjects.has(entry.digest)) return this.subjects.get(entry.digest);
    try {
      const { content } = await this.fetchManifest(repository, entry);
      this.remember(entry.digest, content.subject);
      return content.subject;
    } catch (error) {
      if (!(error instanceof OtaError)) throw error;
      if (error.code === 'unavailable' || error.code === 'denied') return 'unknown';
      // A broken entry does not hide the others. It may be repaired, so it is not cached.
      return undefined;
    }
  }

  private remember(digest: Digest, subject: Descriptor | undefined): void {
    if (this.subjects.size >= MAX_SUBJECTS) this.subjects.clear();
    this.subjects.set(digest, subject);
  }

  private async manifestsOf(repository: string, descriptor: Descriptor): Promise<readonly Descriptor[]> {
    const { content } = await this.fetchManifest(repository, descriptor);
    return content.kind === 'index' ? content.manifests : [];
  }
}

function tagOf(entry: Descriptor): string | undefined {
  const name = entry.annotations?.[Annotation.refName];
  return name !== undefined && isTag(name) ? name : undefined;
}
