import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expectStop, stopped } from './leftovers.js';
import { stepOf, type Step } from './registry-steps.js';

export { STEPS, type Step } from './registry-steps.js';

export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX = 'application/vnd.oci.image.index.v1+json';

export interface StoredManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export interface Repository {
  readonly tags: Map<string, string>;
  readonly manifests: Map<string, StoredManifest>;
  readonly blobs: Map<string, Buffer>;
}

/** One request as the registry saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly kind: Kind;
  readonly step: Step;
  readonly headers: IncomingMessage['headers'];
}

export type Kind = 'tags' | 'manifest' | 'blob' | 'referrers' | 'token' | 'other';

/** Takes a request over; returns false to let the registry answer it as usual. */
export type Fault = (request: IncomingMessage, response: ServerResponse, kind: Kind, step: Step) => boolean;

export const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const EMPTY = Buffer.from('{}');

/** A whole small registry on 127.0.0.1, whose faults are real: sockets that are cut, bytes that are wrong. */
export class FakeRegistry {
  readonly seen: Seen[] = [];
  /** Tags a page, like `?n=`; the client's wish is ignored when this is set. */
  pageSize: number | undefined;
  fault: Fault = () => false;
  /** Whether blobs that are no signatures are redirected to object storage, which is another origin. */
  redirectsBlobs = false;
  /** Whether there is a referrers API. */
  hasReferrers = false;
  /** Demands tokens for this user when it is set. */
  auth: { user: string; password: string; expiresIn?: number } | undefined;
  /** Tokens that are good; cleared to make them all expire. */
  readonly tokens = new Set<string>();
  private readonly repositories = new Map<string, Repository>();
  private readonly sockets = new Set<Socket>();
  private readonly servers: Server[] = [];
  private port = 0;
  private storagePort = 0;

  /** Starts, on the ports of last time when there were any. */
  async start(): Promise<this> {
    this.port = await this.listen(this.port);
    this.storagePort = await this.listen(this.storagePort);
    expectStop(this, () => this.stop());
    return this;
  }

  private async listen(port: number): Promise<number> {
    const server = createServer((request, response) => {
      this.receive(request, response);
    });
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket)).on('error', () => undefined);
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
    this.servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  /** Is killed: every connection is cut. */
  async stop(): Promise<void> {
    stopped(this);
    for (const socket of this.sockets) socket.resetAndDestroy();
    await Promise.all(this.servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  }

  /** Connections that are open now, to the registry and to its storage. */
  get connections(): number {
    return this.sockets.size;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  /** Where `redirectsBlobs` sends blobs to. */
  get storageUrl(): string {
    return `http://127.0.0.1:${this.storagePort}`;
  }

  /** The requests that came without the one by which the service looks at its start whether this is a registry. */
  get asked(): Seen[] {
    return this.seen.filter(({ step }) => step !== 'ping');
  }

  /** How many requests of a kind came since `seen` was last emptied. */
  count(kind: Kind, method?: string): number {
    return this.seen.filter((one) => one.kind === kind && (method === undefined || one.method === method)).length;
  }

  repository(name: string): Repository {
    let repository = this.repositories.get(name);
    if (!repository)
      this.repositories.set(name, (repository = { tags: new Map(), manifests: new Map(), blobs: new Map() }));
    return repository;
  }

  names(): Iterable<string> {
    return this.repositories.keys();
  }

  remove(name: string): void {
    this.repositories.delete(name);
  }

  putBlob(name: string, bytes: Buffer): string {
    const digest = sha256(bytes);
    this.repository(name).blobs.set(digest, bytes);
    return digest;
  }

  /** Stores a manifest, under `tag` when one is given, and returns its digest. */
  putManifest(name: string, tag: string | undefined, body: object, mediaType = MANIFEST): string {
    const bytes = Buffer.from(JSON.stringify(body));
    const digest = sha256(bytes);
    const repository = this.repository(name);
    repository.manifests.set(digest, { mediaType, bytes });
    if (tag !== undefined) repository.tags.set(tag, digest);
    return digest;
  }

  /** Pushes firmware as oras does, and returns the manifest's digest. */
  push(
    name: string,
    tag: string,
    firmware: Buffer,
    mediaType = 'application/octet-stream',
    title: string | null = 'firmware.bin',
    annotations?: Record<string, string>,
  ): string {
    this.putBlob(name, EMPTY);
    const layer = {
      mediaType,
      digest: this.putBlob(name, firmware),
      size: firmware.length,
      ...(title === null ? {} : { annotations: { 'org.opencontainers.image.title': title } }),
    };
    const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(EMPTY), size: EMPTY.length };
    return this.putManifest(name, tag, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config,
      layers: [layer],
      ...(annotations && { annotations }),
    });
  }

  /** Pushes files as `oras push` does, in their order, and returns the descriptor of the manifest, for an index. */
  pushFiles(
    name: string,
    tag: string | undefined,
    files: Readonly<Record<string, Buffer>>,
    annotations: { manifest?: Record<string, string>; layers?: Record<string, Record<string, string>> } = {},
    mediaType = 'application/octet-stream',
  ): { mediaType: string; digest: string; size: number } {
    this.putBlob(name, EMPTY);
    const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256(EMPTY), size: EMPTY.length };
    const layers = Object.entries(files).map(([title, bytes]) => ({
      mediaType,
      digest: this.putBlob(name, bytes),
      size: bytes.length,
      annotations: { 'org.opencontainers.image.title': title, ...annotations.layers?.[title] },
    }));
    const digest = this.putManifest(name, tag, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config,
      layers,
      ...(annotations.manifest && { annotations: annotations.manifest }),
    });
    const size = this.repository(name).manifests.get(digest)?.bytes.length ?? 0;
    return { mediaType: MANIFEST, digest, size };
  }

  private receive(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    const kind = kindOf(url.pathname);
    const step = this.stepOf(request, url);
    this.seen.push({ method: request.method ?? '', url: request.url ?? '', kind, step, headers: request.headers });
    response.on('error', () => undefined);
    if (this.fault(request, response, kind, step)) return;
    this.answer(request, response);
  }

  private stepOf(request: IncomingMessage, url: URL): Step {
    return stepOf(request, url, (name) => this.repositories.get(name));
  }

  /** Answers as usual, for a fault that only comes first. */
  answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    if (kindOf(url.pathname) === 'token') this.token(request, response, url);
    else if (this.stepOf(request, url) === 'blob after redirect') this.stored(request, response, url);
    else if (!this.allows(request)) this.challenge(response, url);
    else this.serve(request, response, url);
  }

  private serve(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const [, name = '', what, reference = ''] =
      /^\/v2\/(.+)\/(tags|manifests|blobs|referrers)\/(.+)$/.exec(url.pathname) ?? [];
    const repository = this.repositories.get(name);
    if (url.pathname === '/v2/') json(response, 200, {});
    else if (!repository) error(response, 404, 'NAME_UNKNOWN');
    else if (what === 'tags') this.tags(response, url, name, [...repository.tags.keys()].sort());
    else if (what === 'manifests') manifest(request, response, repository, reference);
    else if (what === 'blobs' && this.redirectsBlobs && stepOf(request, url, () => repository) === 'blob')
      response.writeHead(307, { Location: `${this.storageUrl}/storage/${name}/blobs/${reference}` }).end();
    else if (what === 'blobs') blob(request, response, repository.blobs.get(reference));
    else if (what === 'referrers' && this.hasReferrers) referrers(response, url, repository, reference);
    else error(response, 404, 'NOT_FOUND');
  }

  private tags(response: ServerResponse, url: URL, name: string, tags: string[]): void {
    const size = this.pageSize ?? Number(url.searchParams.get('n') ?? 100);
    const last = url.searchParams.get('last');
    const from = last === null ? 0 : tags.findIndex((tag) => tag > last);
    const page = from === -1 ? [] : tags.slice(from, from + size);
    const end = page.at(-1);
    if (end !== undefined && end !== tags.at(-1))
      response.setHeader('Link', `</v2/${name}/tags/list?n=${size}&last=${end}>; rel="next"`);
    json(response, 200, { name, tags: page });
  }

  private stored(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const [, name = '', digest = ''] = /^\/storage\/(.+)\/blobs\/(.+)$/.exec(url.pathname) ?? [];
    blob(request, response, this.repositories.get(name)?.blobs.get(digest));
  }

  private token(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const { user, password, expiresIn } = this.auth ?? { user: '', password: '', expiresIn: undefined };
    const expected = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    if (request.headers.authorization !== expected) {
      error(response, 401, 'UNAUTHORIZED');
      return;
    }
    const token = `token-${this.tokens.size}-${url.searchParams.get('scope') ?? ''}`;
    this.tokens.add(token);
    json(response, 200, { token, ...(expiresIn !== undefined && { expires_in: expiresIn }) });
  }

  private allows(request: IncomingMessage): boolean {
    return !this.auth || this.tokens.has(request.headers.authorization?.replace(/^Bearer /, '') ?? '');
  }

  private challenge(response: ServerResponse, url: URL): void {
    const name = /^\/v2\/(.+)\/(?:tags|manifests|blobs|referrers)\//.exec(url.pathname)?.[1] ?? '';
    response.setHeader(
      'WWW-Authenticate',
      `Bearer realm="${this.url}/token",service="fake",scope="repository:${name}:pull"`,
    );
    error(response, 401, 'UNAUTHORIZED');
  }
}

function kindOf(path: string): Kind {
  if (path === '/token') return 'token';
  const what = /\/(tags|manifests|blobs|referrers)\//.exec(path)?.[1];
  return what === 'tags' || what === 'referrers'
    ? what
    : what === 'manifests'
      ? 'manifest'
      : what === 'blobs'
        ? 'blob'
        : 'other';
}

function manifest(request: IncomingMessage, response: ServerResponse, repository: Repository, reference: string): void {
  const digest = reference.startsWith('sha256:') ? reference : (repository.tags.get(reference) ?? '');
  const stored = repository.manifests.get(digest);
  if (!stored) {
    error(response, 404, 'MANIFEST_UNKNOWN');
    return;
  }
  response.writeHead(200, {
    'Content-Type': stored.mediaType,
    'Content-Length': stored.bytes.length,
    'Docker-Content-Digest': digest,
  });
  response.end(request.method === 'HEAD' ? undefined : stored.bytes);
}

function blob(request: IncomingMessage, response: ServerResponse, bytes: Buffer | undefined): void {
  if (!bytes) {
    error(response, 404, 'BLOB_UNKNOWN');
    return;
  }
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': bytes.length - start };
  if (start > 0)
    response.writeHead(206, { ...headers, 'Content-Range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` });
  else response.writeHead(200, headers);
  response.end(bytes.subarray(start));
}

/** The referrers API (distribution-spec 1.1, "Listing Referrers"). */
function referrers(response: ServerResponse, url: URL, { manifests }: Repository, digest: string): void {
  const wanted = url.searchParams.get('artifactType');
  const entries = [...manifests].flatMap(([own, { mediaType, bytes }]) => {
    const { subject, artifactType } = JSON.parse(bytes.toString('utf8')) as {
      subject?: { digest: string };
      artifactType?: string;
    };
    const fits = subject?.digest === digest && (wanted === null || wanted === artifactType);
    return fits ? [{ mediaType, digest: own, size: bytes.length, artifactType }] : [];
  });
  json(
    response,
    200,
    { schemaVersion: 2, mediaType: INDEX, manifests: entries },
    { 'Content-Type': INDEX, ...(wanted !== null && { 'OCI-Filters-Applied': 'artifactType' }) },
  );
}

/** Answers with an error as registries write them. */
export function error(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  json(response, status, { errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] }, headers);
}

export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': bytes.length, ...headers });
  response.end(bytes);
}
