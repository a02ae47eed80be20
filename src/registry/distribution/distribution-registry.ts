import { Readable } from 'node:stream';
import { OtaError, reasonOf } from '../../errors.js';
import {
  digestOf,
  algorithmOf,
  hexOf,
  isDigest,
  isTag,
  MANIFEST_ACCEPT,
  MAX_MANIFEST_BYTES,
  MediaType,
  parseManifest,
  type Descriptor,
  type Digest,
} from '../../oci/index.js';
import { mayBeOfType } from '../referrer-filter.js';
import { Registry, type FetchedManifest } from '../registry.js';
import { readBlob } from './blob-reader.js';
import type { Endpoint } from './endpoint.js';
import { describeFailure, failureOf } from './failure.js';
import { nextPage, Pages } from './pages.js';
import { parseCatalog, parseReferrers, parseTags } from './listings.js';
import { discard, header, readBody, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

/** A page of tags or referrers. A registry that ignores `n` may send 100,000 tags of 128 characters in one. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
const TAGS_PER_PAGE = 1000;
const MAX_TAGS = 100_000;
/** The slowest that a whole download may be: below it the link is as good as down. */
const MIN_BYTES_PER_MS = 16;

export interface DistributionRegistryOptions {
  endpoint: Endpoint;
  /** How long one question may take, retries included, and how long a download may stand still; in milliseconds. */
  timeoutMs: number;
}

/** A registry that speaks the OCI distribution spec 1.0 or 1.1 over HTTP. */
export class DistributionRegistry extends Registry {
  constructor(
    private readonly transport: Transport,
    private readonly options: DistributionRegistryOptions,
  ) {
    super();
  }

  async listTags(repository: string, signal: AbortSignal): Promise<string[]> {
    const tags = new Set<string>();
    const first = this.url(repository, `tags/list?n=${TAGS_PER_PAGE}`);
    for await (const response of this.pages(repository, first, {}, signal)) {
      if (response.status !== 200) throw await failureOf(response, `tags of ${repository}`);
      for (const tag of parseTags(await this.pageBody(response, 'tags'))) if (isTag(tag)) tags.add(tag);
      if (tags.size > MAX_TAGS) throw new OtaError('protocol', `${repository} has more than ${MAX_TAGS} tags`);
    }
    return [...tags];
  }

  async resolve(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor> {
    const url = this.url(repository, `manifests/${reference}`);
    const response = await this.ask(repository, url, signal, { method: 'HEAD', headers: { accept: MANIFEST_ACCEPT } });
    discard(response);
    if (response.status === 200) {
      const described = describe(response);
      if (described) return expectDigest(described, reference);
    } else if (response.status !== 405) throw await failureOf(response, `${repository}:${reference}`);
    // No digest, type or size in the answer to HEAD: older registries and some proxies leave them out.
    return (await this.readManifest(repository, reference, undefined, signal)).descriptor;
  }

  async fetchManifest(repository: string, descriptor: Descriptor, signal: AbortSignal): Promise<FetchedManifest> {
    if (descriptor.size > MAX_MANIFEST_BYTES) throw tooLarge(descriptor.digest);
    return this.readManifest(repository, descriptor.digest, descriptor, signal);
  }

  fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable> {
    const timeoutMs = this.options.timeoutMs + Math.ceil(blob.size / MIN_BYTES_PER_MS);
    const request = this.request(repository, this.url(repository, `blobs/${blob.digest}`), signal, timeoutMs);
    return Promise.resolve(Readable.from(readBlob(this.transport, request, blob), { objectMode: false }));
  }

  async listReferrers(
    repository: string,
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
  ): Promise<Descriptor[]> {
    const referrers =
      (await this.referrersApi(repository, digest, artifactType, signal)) ??
      (await this.fallbackTag(repository, digest, signal));
    return mayBeOfType(referrers, artifactType);
  }

  /** By `_catalog` of Distribution, zot and Harbor (for administrators); hosted registries have none. */
  override async listRepositories(signal: AbortSignal): Promise<string[]> {
    const { endpoint } = this.options;
    const repositories = new Set<string>();
    const first = new URL(`/v2/_catalog?n=${TAGS_PER_PAGE}`, endpoint.origin);
    for await (const response of this.pages(undefined, first, {}, signal)) {
      if (response.status !== 200)
        throw new OtaError(
          'protocol',
          `catalog: ${await describeFailure(response)}; this registry does not list its repositories`,
        );
      for (const name of parseCatalog(await this.pageBody(response, 'catalog'))) {
        const own = endpoint.repositoryOf(name);
        if (own !== undefined) repositories.add(own);
      }
      if (repositories.size > MAX_TAGS)
        throw new OtaError('protocol', `the registry has more than ${MAX_TAGS} repositories`);
    }
    return [...repositories];
  }

  async ping(signal: AbortSignal): Promise<void> {
    const response = await this.ask(undefined, new URL('/v2/', this.options.endpoint.origin), signal);
    discard(response);
    if (response.status >= 500) throw await failureOf(response, 'ping');
  }

  override close(): Promise<void> {
    return this.transport.close();
  }

  private async referrersApi(
    repository: string,
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
  ): Promise<Descriptor[] | undefined> {
    const query = artifactType === undefined ? '' : `?artifactType=${encodeURIComponent(artifactType)}`;
    const found: Descriptor[] = [];
    for await (const response of this.pages(
      repository,
      this.url(repository, `referrers/${digest}${query}`),
      { accept: MediaType.ociIndex },
      signal,
    )) {
      if (response.status === 404) {
        discard(response);
        return undefined;
      }
      if (response.status !== 200) throw await failureOf(response, `referrers of ${digest}`);
      found.push(...parseReferrers(await this.pageBody(response, 'referrers')));
    }
    return found;
  }

  /** distribution-spec 1.1, "Referrers Tag Schema": an index under a tag made of the digest. */
  private async fallbackTag(repository: string, digest: Digest, signal: AbortSignal): Promise<Descriptor[]> {
    try {
      const { content } = await this.readManifest(
        repository,
        `${algorithmOf(digest)}-${hexOf(digest).slice(0, 64)}`,
        undefined,
        signal,
      );
      return content.kind === 'index' ? [...content.manifests] : [];
    } catch (error) {
      if (error instanceof OtaError && error.code === 'absent') return [];
      throw error;
    }
  }

  private async readManifest(
    repository: string,
    reference: string,
    expected: Descriptor | undefined,
    signal: AbortSignal,
  ): Promise<FetchedManifest> {
    const url = this.url(repository, `manifests/${reference}`);
    const response = await this.ask(repository, url, signal, { headers: { accept: MANIFEST_ACCEPT } });
    if (response.status !== 200) throw await failureOf(response, `${repository}:${reference}`);
    const bytes = await this.body(response, MAX_MANIFEST_BYTES, () => tooLarge(reference));
    const stated = header(response, 'docker-content-digest');
    const digest = expected?.digest ?? (stated !== undefined && isDigest(stated) ? stated : digestOf(bytes));
    if (digestOf(bytes, algorithmOf(digest)) !== digest)
      throw new OtaError('protocol', `manifest is not ${digest}: its bytes have another digest`);
    const content = parseManifest(bytes, contentType(response) || (expected?.mediaType ?? ''));
    const descriptor: Descriptor = { ...expected, mediaType: content.mediaType, digest, size: bytes.length };
    return { descriptor: expectDigest(descriptor, reference), bytes, content };
  }

  /** The pages that begin at `url`, each to be read before the next is asked for. */
  private async *pages(
    repository: string | undefined,
    url: URL,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): AsyncGenerator<RegistryResponse> {
    const deadline = this.request(repository, url, signal, this.options.timeoutMs);
    const seen = new Pages(url);
    for (let next: URL | undefined = url; next;) {
      const response: RegistryResponse = await this.transport.send({ ...deadline, url: next, headers });
      yield response;
      next = nextPage(response, next);
      if (next) seen.add(next);
    }
  }

  private async pageBody(response: RegistryResponse, what: string): Promise<unknown> {
    const bytes = await this.body(
      response,
      MAX_PAGE_BYTES,
      () => new OtaError('protocol', `a page of ${what} has over ${MAX_PAGE_BYTES} bytes`),
    );
    try {
      return JSON.parse(bytes.toString('utf8')) as unknown;
    } catch (error) {
      throw new OtaError('protocol', `${what} are not JSON: ${reasonOf(error)}`, { cause: error });
    }
  }

  private async body(response: RegistryResponse, limit: number, tooLong: () => OtaError): Promise<Buffer> {
    try {
      return await readBody(response, limit, tooLong);
    } catch (error) {
      throw OtaError.from(error, 'unavailable', `answer of ${response.url.host} broke off`);
    }
  }

  private ask(
    repository: string | undefined,
    url: URL,
    signal: AbortSignal,
    rest: Partial<RegistryRequest> = {},
  ): Promise<RegistryResponse> {
    return this.transport.send({ ...this.request(repository, url, signal, this.options.timeoutMs), ...rest });
  }

  private request(repository: string | undefined, url: URL, signal: AbortSignal, timeoutMs: number): RegistryRequest {
    return {
      method: 'GET',
      url,
      ...(repository !== undefined && { repository: this.options.endpoint.nameOf(repository) }),
      signal,
      deadlineMs: performance.now() + timeoutMs,
    };
  }

  private url(repository: string, rest: string): URL {
    return this.options.endpoint.url(repository, rest);
  }
}

/** The descriptor in the headers of a manifest's answer, or undefined when one of its parts is missing. */
function describe(response: RegistryResponse): Descriptor | undefined {
  const digest = header(response, 'docker-content-digest');
  const size = header(response, 'content-length');
  const mediaType = contentType(response);
  if (digest === undefined || !isDigest(digest) || size === undefined || !mediaType) return undefined;
  return { mediaType, digest, size: Number(size) };
}

/** The media type without parameters; empty when it says nothing about a manifest. */
function contentType(response: RegistryResponse): string {
  const type = (header(response, 'content-type') ?? '').split(';', 1)[0]?.trim() ?? '';
  return ['application/json', 'application/octet-stream', 'text/plain'].includes(type) ? '' : type;
}

function expectDigest(descriptor: Descriptor, reference: string): Descriptor {
  if (isDigest(reference) && descriptor.digest !== reference) {
    throw new OtaError('protocol', `asked for ${reference}, got ${descriptor.digest}`);
  }
  return descriptor;
}

function tooLarge(reference: string): OtaError {
  return new OtaError('protocol', `manifest ${reference} has over ${MAX_MANIFEST_BYTES} bytes`);
}
