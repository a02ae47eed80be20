import type { IncomingMessage } from 'node:http';
import type { Repository } from './fake-registry.js';

/** What a request to a registry is for: every kind that a refresh makes, and a few more. */
export const STEPS = [
  'ping',
  'token',
  'tags',
  'next page',
  /** HEAD of a tag or digest that is not a signature's. */
  'manifest HEAD',
  'manifest by tag',
  'manifest by digest',
  /** GET by digest of a manifest that an index of the repository names. */
  'index child',
  'blob',
  /** The object storage that a blob was redirected to. */
  'blob after redirect',
  'referrers',
  /** The index `sha256-HEX` in place of the referrers API. */
  'fallback tag',
  /** HEAD and GET of the tag `sha256-HEX.sig`, and GET of its digest. */
  '.sig manifest',
  /** A manifest that has a subject: one that holds a bundle. */
  'bundle manifest',
  /** A payload, or a bundle. */
  'signature blob',
  'other',
] as const;

export type Step = (typeof STEPS)[number];

interface Body {
  readonly subject?: { readonly digest: string } | null;
  readonly layers?: readonly { readonly digest: string }[] | null;
  readonly manifests?: readonly { readonly digest: string }[] | null;
}

/** What `request` is for, by its path and by what the repository holds. */
export function stepOf(request: IncomingMessage, url: URL, find: (name: string) => Repository | undefined): Step {
  if (url.pathname === '/v2/') return 'ping';
  if (url.pathname === '/token') return 'token';
  if (url.pathname.startsWith('/storage/')) return 'blob after redirect';
  const [, name = '', what, reference = ''] =
    /^\/v2\/(.+)\/(tags|manifests|blobs|referrers)\/(.+)$/.exec(url.pathname) ?? [];
  const repository = find(name);
  if (what === 'tags') return url.searchParams.has('last') ? 'next page' : 'tags';
  if (what === 'referrers') return 'referrers';
  if (what === 'blobs') return repository && isSignature(repository, reference) ? 'signature blob' : 'blob';
  return what === 'manifests' ? manifestStep(request, reference, repository) : 'other';
}

function manifestStep(request: IncomingMessage, reference: string, repository: Repository | undefined): Step {
  const digests = repository ? [...repository.tags].filter(([tag]) => tag.endsWith('.sig')).map(([, to]) => to) : [];
  if (reference.endsWith('.sig') || digests.includes(reference)) return '.sig manifest';
  if (/^sha(?:256|512)-[0-9a-f]{64}$/.test(reference)) return 'fallback tag';
  if (repository && bodyOf(repository, reference).subject) return 'bundle manifest';
  if (request.method === 'HEAD') return 'manifest HEAD';
  if (!reference.includes(':')) return 'manifest by tag';
  const child = bodies(repository).some(({ manifests }) => manifests?.some(({ digest }) => digest === reference));
  return child ? 'index child' : 'manifest by digest';
}

/** Whether a manifest with a subject, or under a `.sig` tag, has this blob as a layer. */
function isSignature(repository: Repository, digest: string): boolean {
  const legacy = [...repository.tags].filter(([tag]) => tag.endsWith('.sig')).map(([, to]) => bodyOf(repository, to));
  const bundles = bodies(repository).filter(({ subject }) => subject);
  return [...legacy, ...bundles].some(({ layers }) => layers?.some((layer) => layer.digest === digest));
}

function bodies(repository: Repository | undefined): Body[] {
  return repository ? [...repository.manifests.keys()].map((digest) => bodyOf(repository, digest)) : [];
}

const parsed = new WeakMap<Buffer, Body>();

/** The body of a manifest, which a test may have made of anything. */
function bodyOf(repository: Repository, digest: string): Body {
  const bytes = repository.manifests.get(digest)?.bytes;
  if (!bytes) return {};
  let body = parsed.get(bytes);
  if (!body) parsed.set(bytes, (body = parse(bytes)));
  return body;
}

function parse(bytes: Buffer): Body {
  try {
    return (JSON.parse(bytes.toString('utf8')) ?? {}) as Body;
  } catch {
    return {};
  }
}
