import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations?: Record<string, string>;
}
interface Body {
  readonly config?: Entry;
  readonly layers?: Entry[];
  readonly manifests?: Entry[];
}

/** Pushes an OCI image layout to a registry as it is, with all that its manifests name. */
export async function copyLayout(folder: string, registry: string, repository: string): Promise<void> {
  const read = (digest: string): Buffer => readFileSync(join(folder, 'blobs', ...digest.split(':')));
  const put = async (url: string, body: Buffer, type: string): Promise<void> => {
    const response = await fetch(url, { method: 'PUT', body: new Uint8Array(body), headers: { 'Content-Type': type } });
    if (response.status !== 201) throw new Error(`PUT ${url}: ${response.status} ${await response.text()}`);
  };
  const pushManifest = async (entry: Entry, reference: string): Promise<void> => {
    const bytes = read(entry.digest);
    const body = JSON.parse(bytes.toString()) as Body;
    for (const child of body.manifests ?? []) await pushManifest(child, child.digest);
    for (const blob of [...(body.config ? [body.config] : []), ...(body.layers ?? [])]) {
      const session = await fetch(`${registry}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
      const location = new URL(session.headers.get('location') ?? '', registry);
      location.searchParams.set('digest', blob.digest);
      await put(location.href, read(blob.digest), 'application/octet-stream');
    }
    await put(`${registry}/v2/${repository}/manifests/${reference}`, bytes, entry.mediaType);
  };
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Body;
  for (const entry of index.manifests ?? []) {
    await pushManifest(entry, entry.annotations?.['org.opencontainers.image.ref.name'] ?? entry.digest);
  }
}
