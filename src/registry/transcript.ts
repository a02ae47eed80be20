import { Readable } from 'node:stream';
import { z } from 'zod';
import { OtaError } from '../errors.js';
import { algorithmOf, digestOf, parseDescriptor, parseManifest, type Descriptor, type Digest } from '../oci/index.js';
import { Registry, type FetchedManifest } from './registry.js';
import { verified } from './verified.js';

/**
 * The answers of a registry in one search, by question, in a form that can be stored as JSON. Null means that the
 * registry answered `absent`.
 */
export type Answers = Readonly<Record<string, unknown>>;

/** Signatures, plans and small firmware are recorded. Larger firmware has its own store. */
const MAX_BLOB_BYTES = 256 * 1024;

/**
 * Returns `answers` with `tag` as the only tag of `repository`, because the versions that were skipped are not recorded
 * completely.
 */
export function narrowed(answers: Answers, repository: string, tag: string): Answers {
  return { ...answers, [`tags ${repository}`]: [tag] };
}

/**
 * A registry for one search: it records the answers of another registry, or repeats recorded ones. It is handed to
 * everything that takes part in the search.
 */
export class Transcript extends Registry {
  private readonly known: Record<string, unknown>;

  private constructor(
    answers: Answers,
    /** Undefined if recorded answers are repeated. */
    private readonly registry: Registry | undefined,
  ) {
    super();
    this.known = { ...answers };
  }

  /** Returns a registry that asks `registry` and records its answers. */
  static recording(registry: Registry): Transcript {
    return new Transcript({}, registry);
  }

  /**
   * Returns a registry that repeats `answers`. Questions without a recorded answer reject with `unavailable`. Digests
   * are checked as usual: wrong content rejects with `protocol`.
   */
  static replaying(answers: Answers): Transcript {
    return new Transcript(answers, undefined);
  }

  /** The answers so far. */
  get answers(): Answers {
    return this.known;
  }

  override listTags(repository: string, signal: AbortSignal): Promise<string[]> {
    const parse = (kept: unknown): string[] => z.array(z.string()).parse(kept);
    return this.answer(`tags ${repository}`, parse, (registry) => registry.listTags(repository, signal));
  }

  override resolve(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor> {
    const question = `resolve ${repository} ${reference}`;
    return this.answer(question, parseDescriptor, (registry) => registry.resolve(repository, reference, signal));
  }

  override fetchManifest(repository: string, descriptor: Descriptor, signal: AbortSignal): Promise<FetchedManifest> {
    return this.answer(
      `manifest ${repository} ${descriptor.digest}`,
      (kept) => manifestOf(bytesOf(kept), descriptor),
      (registry) => registry.fetchManifest(repository, descriptor, signal),
      ({ bytes }) => bytes.toString('base64'),
    );
  }

  override async fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable> {
    if (this.registry && blob.size > MAX_BLOB_BYTES) return this.registry.fetchBlob(repository, blob, signal);
    const bytes = await this.answer(
      `blob ${repository} ${blob.digest}`,
      bytesOf,
      // A plug-in registry may send more bytes than the blob has.
      async (registry) => {
        const bytes = verified(await registry.fetchBlob(repository, blob, signal), blob);
        return Buffer.concat((await Readable.from(bytes).toArray()) as Buffer[]);
      },
      (content) => content.toString('base64'),
    );
    return Readable.from(verified(Readable.from([bytes]), blob), { objectMode: false });
  }

  override listReferrers(
    repository: string,
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
  ): Promise<Descriptor[]> {
    const parse = (kept: unknown): Descriptor[] => z.array(z.unknown()).parse(kept).map(parseDescriptor);
    return this.answer(`referrers ${repository} ${digest} ${artifactType ?? ''}`, parse, (registry) =>
      registry.listReferrers(repository, digest, artifactType, signal),
    );
  }

  override listRepositories(signal: AbortSignal): Promise<string[]> {
    return this.registry?.listRepositories(signal) ?? super.listRepositories(signal);
  }

  override ping(signal: AbortSignal): Promise<void> {
    return this.registry?.ping(signal) ?? Promise.resolve();
  }

  private async answer<T>(
    question: string,
    parse: (kept: unknown) => T,
    ask: (registry: Registry) => Promise<T>,
    keep: (value: T) => unknown = (value) => value,
  ): Promise<T> {
    if (!this.registry) return this.recall(question, parse);
    try {
      const value = await ask(this.registry);
      this.known[question] = keep(value);
      return value;
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') this.known[question] = null;
      throw error;
    }
  }

  private recall<T>(question: string, parse: (kept: unknown) => T): T {
    if (!Object.hasOwn(this.known, question))
      throw new OtaError('unavailable', `the cache folder has no answer of the registry to: ${question}`);
    const kept = this.known[question];
    if (kept === null) throw new OtaError('absent', `the registry had nothing for: ${question}`);
    try {
      return parse(kept);
    } catch (error) {
      if (error instanceof OtaError) throw error;
      throw new OtaError('protocol', `the cache folder has a malformed answer of the registry to: ${question}`, {
        cause: error,
      });
    }
  }
}

const bytesOf = (kept: unknown): Buffer => Buffer.from(z.string().parse(kept), 'base64');

function manifestOf(bytes: Buffer, descriptor: Descriptor): FetchedManifest {
  if (digestOf(bytes, algorithmOf(descriptor.digest)) !== descriptor.digest)
    throw new OtaError(
      'protocol',
      `manifest is not ${descriptor.digest}: its bytes have another digest. Check the registry and its storage`,
    );
  return {
    descriptor: { ...descriptor, size: bytes.length },
    bytes,
    content: parseManifest(bytes, descriptor.mediaType),
  };
}
