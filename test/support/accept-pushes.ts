import type { IncomingMessage, ServerResponse } from 'node:http';
import { error, sha256, type FakeRegistry } from './fake-registry.js';

/** One write request: `PUT blobs/…`, `PUT manifests/otaflux-plan`. */
export interface Write {
  readonly method: string;
  readonly path: string;
}

/** What happens before a write is answered. Returns true if it answered itself. */
export type Before = (write: Write, response: ServerResponse, request: IncomingMessage) => boolean | Promise<boolean>;

/** Makes a fake registry take pushes (distribution-spec 1.1, "Push"), and returns what it was asked to write. */
export function acceptPushes(registry: FakeRegistry, name: string, before: Before = () => false): Write[] {
  const writes: Write[] = [];
  registry.fault = (request, response) => {
    const { method = '' } = request;
    const url = new URL(request.url ?? '/', registry.url);
    const path = url.pathname.replace(`/v2/${name}/`, '');
    if (!['POST', 'PUT', 'PATCH'].includes(method)) return false;
    const write = { method, path: path.replace(/^blobs\/uploads\/.*/, 'blobs/uploads/') };
    writes.push(write);
    void (async () => {
      const pieces: Buffer[] = [];
      for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
      if (await before(write, response, request)) return;
      const bytes = Buffer.concat(pieces);
      if (method === 'POST') response.writeHead(202, { Location: `/v2/${name}/blobs/uploads/1` }).end();
      else if (path.startsWith('manifests/')) {
        const reference = path.slice('manifests/'.length);
        const digest = sha256(bytes);
        const repository = registry.repository(name);
        repository.manifests.set(digest, { mediaType: request.headers['content-type'] ?? '', bytes });
        if (!reference.startsWith('sha256:')) repository.tags.set(reference, digest);
        const { subject } = JSON.parse(bytes.toString()) as { subject?: { digest: string } };
        const listed = registry.hasReferrers && subject ? { 'OCI-Subject': subject.digest } : {};
        response.writeHead(201, { 'Docker-Content-Digest': digest, ...listed }).end();
      } else if (sha256(bytes) === url.searchParams.get('digest')) {
        registry.putBlob(name, bytes);
        response.writeHead(201).end();
      } else error(response, 400, 'DIGEST_INVALID');
    })();
    return true;
  };
  return writes;
}
