import { Readable } from 'node:stream';
import { OtaError } from '../../errors.js';
import {
  digestOf,
  algorithmOf,
  hexOf,
  isDigest,
  isTag,
  MalformedManifest,
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
import { readWhole } from './body.js';
import type { Endpoint } from './endpoint.js';
import { codeOfStatus, describeFailure, failureOf, isPage, notRegistry } from './failure.js';
import { PagedLists } from './paged-lists.js';
import { parseCatalog, parseReferrers, parseTags } from './listings.js';
import { contentType, describe, expectDigest } from './manifest-answer.js';
import { discard, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

const TAGS_PER_PAGE = 1000;
const MAX_TAGS = 100_000;
/** Lowest allowed speed of a complete download. Below it, the connection counts as failed. */
const MIN_BYTES_PER_MS = 16;
/** Statuses of registries without a referrers API. Any other status is a failure of the API. */
const NO_REFERRERS_API: readonly number[] = [204, 400, 404, 405, 406, 415, 501];
/** Maximum number of repositories that are remembered to refuse HEAD. */
const MAX_HEADLESS = 10_000;

export interface DistributionRegistryOptions {
  endpoint: Endpoint;
  /** Maximum duration of one operation, including retries, and of a pause in a download; in milliseconds. */
  timeoutMs: number;
}

/** A registry that implements the OCI distribution spec 1.0 or 1.1 over HTTP. */
export class DistributionRegistry extends Registry {
  /** Repositories that refuse HEAD for manifests. */
  private readonly headless = new Set<string>();
  private readonly lists: PagedLists;

  constructor(
    private readonly transport: Transport,
    private readonly options: DistributionRegistryOptions,
  ) {
    super();
    this.lists = new PagedLists(transport);
  }

  async listTags(repository: string, signal: AbortSignal): Promise<string[]> {
    const tags = new Set<string>();
    const first = this.url(repository, `tags/list?n=${TAGS_PER_PAGE}`);
    for await (const response of this.pages(repository, first, signal)) {
      if (response.status !== 200)
        throw await failureOf(
          response,
          `tags of ${repository}`,
          '. Check the device id and --repository-prefix, or push a version with otaflux push',
        );
      for await (const some of parseTags(await this.lists.json(response, 'tags')))
        for (const tag of some) if (isTag(tag)) tags.add(tag);
      if (tags.size > MAX_TAGS)
        throw new OtaError('protocol', `${repository} has more than ${MAX_TAGS} tags. Delete some`);
    }
    return [...tags];
  }

  async resolve(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor> {
    const described = this.headless.has(repository) ? undefined : await this.head(repository, reference, signal);
    return described ?? (await this.readManifest(repository, reference, undefined, signal)).descriptor;
  }

  async fetchManifest(repository: string, descriptor: Descriptor, signal: AbortSignal): Promise<FetchedManifest> {
    if (descriptor.size > MAX_MANIFEST_BYTES) throw tooLarge(descriptor.digest);
    return this.readManifest(repository, descriptor.digest, descriptor, signal);
  }

  fetchBlob(repository: string, blob: Descriptor, signal: AbortSignal): Promise<Readable> {
    const timeoutMs = this.options.timeoutMs + Math.ceil(blob.size / MIN_BYTES_PER_MS);
    return Promise.resolve().then(() => {
      const request = this.request(repository, this.url(repository, `blobs/${blob.digest}`), signal, timeoutMs);
      return Readable.from(readBlob(this.transport, request, blob, this.options.timeoutMs), { objectMode: false });
    });
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

  /** Uses `_catalog` of Distribution, zot and Harbor (for administrators). Hosted registries do not have it. */
  override async listRepositories(signal: AbortSignal): Promise<string[]> {
    const { endpoint } = this.options;
    const repositories = new Set<string>();
    const first = new URL(`/v2/_catalog?n=${TAGS_PER_PAGE}`, endpoint.origin);
    for await (const response of this.pages(undefined, first, signal)) {
      if (response.status !== 200)
        throw new OtaError(
          'protocol',
          `catalog: registry answered ${await describeFailure(response)}; this registry does not list its repositories to this account. Name devices by their ids in --watch`,
        );
      for (const name of parseCatalog(await this.lists.json(response, 'catalog'))) {
        const own = endpoint.repositoryOf(name);
        if (own !== undefined) repositories.add(own);
      }
      if (repositories.size > MAX_TAGS)
        throw new OtaError(
          'protocol',
          `the registry has more than ${MAX_TAGS} repositories. Name devices by their ids in --watch`,
        );
    }
    return [...repositories];
  }

  /** Sends the request of `docker login`: checks whether `/v2/` belongs to a registry, and accepts the credentials. */
  async ping(signal: AbortSignal): Promise<void> {
    const url = new URL('/v2/', this.options.endpoint.origin);
    const response = await this.ask(undefined, url, signal);
    if (response.status === 200 && !isPage(response)) {
      discard(response);
      return;
    }
    if (codeOfStatus(response.status) === 'unavailable') throw await failureOf(response, 'ping');
    throw await notRegistry(response);
  }

  override close(): Promise<void> {
    return this.transport.close();
  }

  /**
   * Returns the descriptor of `reference` according to HEAD. Returns undefined if GET is needed, because HEAD is
   * refused or its response is incomplete.
   */
  private async head(repository: string, reference: string, signal: AbortSignal): Promise<Descriptor | undefined> {
    const url = this.url(repository, `manifests/${reference}`);
    let response: RegistryResponse;
    try {
      response = await this.ask(repository, url, signal, { method: 'HEAD', headers: { accept: MANIFEST_ACCEPT } });
    } catch (error) {
      if (error instanceof OtaError && error.code === 'denied') return undefined;
      throw error;
    }
    discard(response);
    const { status } = response;
    if (status === 200) {
      const described = describe(response);
      return described && expectDigest(described, reference);
    }
    if (status === 405 || status === 501) {
      if (this.headless.size >= MAX_HEADLESS) this.headless.clear();
      this.headless.add(repository);
    } else if (codeOfStatus(status) === 'unavailable') throw await failureOf(response, `${repository}:${reference}`);
    return undefined;
  }

  /** Returns the list of the referrers API, or undefined if the registry does not have it. */
  private async referrersApi(
    repository: string,
    digest: Digest,
    artifactType: string | undefined,
    signal: AbortSignal,
  ): Promise<Descriptor[] | undefined> {
    const query = artifactType === undefined ? '' : `?artifactType=${encodeURIComponent(artifactType)}`;
    const first = this.url(repository, `referrers/${digest}${query}`);
    const found: Descriptor[] = [];
    let pages = 0;
    for await (const response of this.pages(repository, first, signal, { accept: MediaType.ociIndex })) {
      if (NO_REFERRERS_API.includes(response.status)) {
        discard(response);
        return undefined;
      }
      if (response.status !== 200) throw await failureOf(response, `referrers of ${digest}`);
      const entries = parseReferrers(await this.lists.jsonIfAny(response, 'referrers'));
      // A proxy that demands a login sends a page of its own.
      if (!entries && pages === 0) return undefined;
      if (!entries)
        throw new OtaError(
          'protocol',
          `a page of the referrers of ${digest} is not an image index. Check the registry`,
        );
      found.push(...entries);
      pages++;
    }
    return found;
  }

  /** distribution-spec 1.1, "Referrers Tag Schema": an index under a tag that is made of the digest. */
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
    const bytes = await readWhole(response, MAX_MANIFEST_BYTES, () => tooLarge(reference));
    const stated = header(response, 'docker-content-digest');
    const digest = expected?.digest ?? (stated !== undefined && isDigest(stated) ? stated : digestOf(bytes));
    if (digestOf(bytes, algorithmOf(digest)) !== digest)
      throw new OtaError(
        'protocol',
        `manifest is not ${digest}: its bytes have another digest. Check the registry and its storage`,
      );
    const content = this.parse(bytes, contentType(response) || (expected?.mediaType ?? ''), expected !== undefined);
    const descriptor: Descriptor = { ...expected, mediaType: content.mediaType, digest, size: bytes.length };
    return { descriptor: expectDigest(descriptor, reference), bytes, content };
  }

  /**
   * The response for a tag may be anything, such as the page of a proxy. Then the response is wrong, not the artifact.
   */
  private parse(bytes: Buffer, mediaType: string, named: boolean): FetchedManifest['content'] {
    try {
      return parseManifest(bytes, mediaType);
    } catch (error) {
      if (named || !(error instanceof MalformedManifest)) throw error;
      throw new OtaError('protocol', error.message, { cause: error });
    }
  }

  private pages(
    repository: string | undefined,
    url: URL,
    signal: AbortSignal,
    headers: Record<string, string> = {},
  ): AsyncGenerator<RegistryResponse> {
    return this.lists.pages({ ...this.request(repository, url, signal, this.options.timeoutMs), headers });
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

function tooLarge(reference: string): OtaError {
  return new OtaError(
    'protocol',
    `manifest ${reference} has more than ${MAX_MANIFEST_BYTES} bytes. It is not a firmware artifact: delete its tag`,
  );
}
