import type { Readable } from 'node:stream';
import { OtaError } from '../../errors.js';
import { type Descriptor } from '../../oci/index.js';
import { ArtifactWriter, type BlobSource } from '../artifact-writer.js';
import type { Endpoint } from './endpoint.js';
import { describeFailure, failureOf } from './failure.js';
import { discard, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

/**
 * Larger blobs are uploaded in pieces, because proxies in front of registries limit the body of a request (Cloudflare:
 * 100 MB).
 */
const MONOLITHIC_BYTES = 64 * 1024 * 1024;
const CHUNK_BYTES = 16 * 1024 * 1024;
/** Maximum duration of a push: one hour. A person or a CI job watches it. */
const PUSH_TIMEOUT_MS = 3_600_000;
const DELETE_TIMEOUT_MS = 60_000;
/** The specification has 202; some registries answer with another success. */
const DELETED: readonly number[] = [200, 202, 204];
/** What registries answer that delete by digest only, about a tag that is there. */
const NO_TAG_DELETION: readonly number[] = [400, 404, 405, 501];

/** Pushes as in the OCI distribution spec 1.1, "Push": POST, then PUT, or several PATCH requests for a large blob. */
export class DistributionWriter extends ArtifactWriter {
  constructor(
    private readonly transport: Transport,
    private readonly endpoint: Endpoint,
  ) {
    super();
  }

  async writeBlob(
    repository: string,
    blob: BlobSource,
    signal: AbortSignal,
    onProgress?: (bytes: number) => void,
  ): Promise<boolean> {
    const { digest, size } = blob.descriptor;
    const known = await this.send(repository, signal, {
      method: 'HEAD',
      url: this.endpoint.url(repository, `blobs/${digest}`),
    });
    discard(known);
    if (known.status === 200) return false;
    if (known.status !== 404) throw await failureOf(known, `blob ${digest}`);
    const session = await this.send(repository, signal, {
      method: 'POST',
      url: this.endpoint.url(repository, 'blobs/uploads/'),
    });
    const location = await this.accepted(session, 202, 'upload');
    await (size <= MONOLITHIC_BYTES
      ? this.finish(repository, signal, location, blob, counted(blob.open(), onProgress), size)
      : this.writeInChunks(repository, signal, location, blob, onProgress));
    return true;
  }

  async writeManifest(
    repository: string,
    reference: string,
    descriptor: Descriptor,
    bytes: Buffer,
    signal: AbortSignal,
  ): Promise<boolean> {
    const headers = { 'content-type': descriptor.mediaType, 'content-length': String(bytes.length) };
    const response = await this.send(repository, signal, {
      method: 'PUT',
      url: this.endpoint.url(repository, `manifests/${reference}`),
      headers,
      body: bytes,
    });
    if (response.status !== 201) throw await failureOf(response, `manifest ${repository}:${reference}`);
    discard(response);
    const stored = header(response, 'docker-content-digest');
    if (stored !== undefined && stored !== descriptor.digest)
      throw new OtaError(
        'protocol',
        `the registry stored ${stored}, expected ${descriptor.digest}. Check proxies in front of it`,
      );
    return header(response, 'oci-subject') !== undefined;
  }

  /** distribution-spec 1.1, "Deleting tags". Never by digest: that removes the manifest, and with it its other tags. */
  async deleteTag(repository: string, tag: string, signal: AbortSignal): Promise<void> {
    const response = await this.send(repository, signal, {
      method: 'DELETE',
      url: this.endpoint.url(repository, `manifests/${tag}`),
      action: 'pull,delete',
      deadlineMs: performance.now() + DELETE_TIMEOUT_MS,
    });
    if (DELETED.includes(response.status)) {
      discard(response);
      return;
    }
    if (!NO_TAG_DELETION.includes(response.status)) throw await failureOf(response, `tag ${repository}:${tag}`);
    throw new OtaError(
      'protocol',
      `this registry does not delete tags. Push the good firmware under a higher version, or delete ${repository}:${tag} with the tools of the registry (it answered ${await describeFailure(response)})`,
    );
  }

  private async writeInChunks(
    repository: string,
    signal: AbortSignal,
    first: URL,
    blob: BlobSource,
    onProgress?: (bytes: number) => void,
  ): Promise<void> {
    let location = first;
    let offset = 0;
    for await (const chunk of chunksOf(blob.open())) {
      const headers = {
        'content-type': 'application/octet-stream',
        'content-length': String(chunk.length),
        'content-range': `${offset}-${offset + chunk.length - 1}`,
      };
      const response = await this.send(repository, signal, { method: 'PATCH', url: location, headers, body: chunk });
      location = await this.accepted(response, 202, 'upload');
      offset += chunk.length;
      onProgress?.(offset);
    }
    await this.finish(repository, signal, location, blob, undefined, 0);
  }

  private async finish(
    repository: string,
    signal: AbortSignal,
    location: URL,
    blob: BlobSource,
    body: Readable | undefined,
    length: number,
  ): Promise<void> {
    const url = new URL(location);
    url.searchParams.set('digest', blob.descriptor.digest);
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(length) };
    const response = await this.send(repository, signal, { method: 'PUT', url, headers, ...(body && { body }) });
    if (response.status !== 201) throw await failureOf(response, `blob ${blob.descriptor.digest}`);
    discard(response);
  }

  /** Returns the `Location` of a response, which must have `status`. */
  private async accepted(response: RegistryResponse, status: number, what: string): Promise<URL> {
    // Some registries do not create repositories (ECR), or demand a project (Harbor).
    if (response.status !== status)
      throw await failureOf(response, what, '. Create the repository or its project in the registry');
    discard(response);
    const location = header(response, 'location');
    if (location === undefined || !URL.canParse(location, response.url.href))
      throw new OtaError('protocol', `${what}: the registry answered without a Location. Check proxies in front of it`);
    return new URL(location, response.url.href);
  }

  private send(
    repository: string,
    signal: AbortSignal,
    rest: Pick<RegistryRequest, 'method' | 'url'> & Partial<RegistryRequest>,
  ): Promise<RegistryResponse> {
    return this.transport.send({
      repository: this.endpoint.nameOf(repository),
      action: 'pull,push',
      signal,
      deadlineMs: performance.now() + PUSH_TIMEOUT_MS,
      ...rest,
    });
  }
}

function counted(source: Readable, onProgress?: (bytes: number) => void): Readable {
  let sent = 0;
  return onProgress
    ? source
        .on('data', (chunk: Buffer) => {
          onProgress((sent += chunk.length));
        })
        .pause()
    : source;
}

async function* chunksOf(source: Readable): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  let length = 0;
  for await (const piece of source as AsyncIterable<Buffer>) {
    pending.push(piece);
    length += piece.length;
    if (length >= CHUNK_BYTES) {
      yield Buffer.concat(pending);
      pending = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(pending);
}
