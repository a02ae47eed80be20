import { AsyncLocalStorage } from 'node:async_hooks';
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

interface Search {
  readonly answers: Record<string, unknown>;
  readonly recalled: boolean;
}

/** Signatures and their payloads are recorded. Firmware has its own store. */
const MAX_BLOB_BYTES = 256 * 1024;
const searches = new AsyncLocalStorage<Search>();

/** Runs `search`. Resolves to its result and to the answers of the registry. */
export async function recorded<T>(search: () => Promise<T>): Promise<{ result: T; answers: Answers }> {
  const answers: Record<string, unknown> = {};
  return { result: await searches.run({ answers, recalled: false }, search), answers };
}

/**
 * Runs `search` with the answers to an earlier search, without asking the registry. Questions without a recorded answer
 * reject with `unavailable`. Digests are checked as usual: wrong content rejects with `protocol`.
 */
export function recalled<T>(answers: Answers, search: () => Promise<T>): Promise<T> {
  return searches.run({ answers: { ...answers }, recalled: true }, search);
}

/**
 * Returns `answers` with `tag` as the only tag of `repository`, because the versions that were skipped are not recorded
 * completely.
 */
export function narrowed(answers: Answers, repository: string, tag: string): Answers {
  return { ...answers, [`tags ${repository}`]: [tag] };
}

/** Wraps a registry, so that its answers can be `recorded`, and `recalled` while it cannot be reached. */
export class RecordedRegistry extends Registry {
  constructor(private readonly registry: Registry) {
    super();
  }

  override listTags(repository: string, signal: AbortSignal): Promise<string[]> {
    const parse = (kept: unknown): string[] => z.array(z.string()).parse(kept);
    return this.answer(`tags ${repository}`, parse, () => this.registry.listTags(repository, signal));
  }

  override resolve(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor> {
    const question = `resolve ${repository} ${reference}`;
    return this.answer(question, parseDescriptor, () => this.registry.resolve(repository, reference, signal));
  }

  override fetchManifest(repository: string, descriptor: Descriptor, signal: AbortSignal): Promise<FetchedManifest> {
    return this.answer(
      `manifest ${repository} ${descriptor.digest}`,
      (kept) => manifestOf(bytesOf(kept), descriptor),
      () => this.registry.fetchManifest(repository, descriptor, signal),
      ({ bytes }) => bytes.toString('base64'),
    );
  }

  override async fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable> {
    const ask = (): Promise<Readable> => this.registry.fetchBlob(repository, blob, signal);
    const search = searches.getStore();
    if (!search || (!search.recalled && blob.size > MAX_BLOB_BYTES)) return ask();
    const bytes = await this.answer(
      `blob ${repository} ${blob.digest}`,
      bytesOf,
      // A plug-in registry may send more bytes than the blob has.
      async () => Buffer.concat((await Readable.from(verified(await ask(), blob)).toArray()) as Buffer[]),
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
    return this.answer(`referrers ${repository} ${digest} ${artifactType ?? ''}`, parse, () =>
      this.registry.listReferrers(repository, digest, artifactType, signal),
    );
  }

  override listRepositories(signal: AbortSignal): Promise<string[]> {
    return this.registry.listRepositories(signal);
  }

  override ping(signal: AbortSignal): Promise<void> {
    return this.registry.ping(signal);
  }

  override close(): Promise<void> {
    return this.registry.close();
  }

  private async answer<T>(
    question: string,
    parse: (kept: unknown) => T,
    ask: () => Promise<T>,
    keep: (value: T) => unknown = (value) => value,
  ): Promise<T> {
    const search = searches.getStore();
    if (!search) return ask();
    if (search.recalled) return this.recall(search.answers, question, parse);
    try {
      const value = await ask();
      search.answers[question] = keep(value);
      return value;
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') search.answers[question] = null;
      throw error;
    }
  }

  private recall<T>(answers: Answers, question: string, parse: (kept: unknown) => T): T {
    if (!Object.hasOwn(answers, question))
      throw new OtaError('unavailable', `the cache folder has no answer of the registry to: ${question}`);
    const kept = answers[question];
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
