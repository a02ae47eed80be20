import type { Challenge } from './challenge.js';
import type { RegistryRequest } from './transport.js';

/** One entry for each repository and kind of request. The oldest is dropped first. */
const MAX_CHALLENGES = 10_000;

/**
 * The challenges that the registry has sent, by repository and kind of request: Azure demands one permission for tags
 * and another for blobs.
 */
export class KnownChallenges {
  private readonly known = new Map<string, Challenge>();
  private readonly latest = new Map<
    string,
    { readonly challenge: Challenge; readonly repository: string | undefined }
  >();

  /** Returns the challenge to the last request of this kind for this repository. */
  get(request: RegistryRequest): Challenge | undefined {
    return this.known.get(placeOf(request));
  }

  /**
   * Returns the likely challenge, derived from other requests, or undefined if they allow no guess. It saves a refused
   * request.
   */
  guess(request: RegistryRequest): Challenge | undefined {
    const kind = kindOf(request);
    const seen = this.latest.get(kind) ?? (isRead(request) ? this.latest.get('any read') : undefined);
    if (seen?.challenge.scheme !== 'bearer') return seen?.challenge;
    if (request.repository === undefined) return undefined;
    const scope = renamed(seen.challenge.parameters.scope, seen.repository, request.repository);
    if (scope === undefined) return undefined;
    return { ...seen.challenge, parameters: { ...seen.challenge.parameters, scope } };
  }

  learn(request: RegistryRequest, challenge: Challenge): void {
    const place = placeOf(request);
    this.known.delete(place);
    this.known.set(place, challenge);
    if (this.known.size > MAX_CHALLENGES) this.known.delete(this.known.keys().next().value ?? '');
    const seen = { challenge, repository: request.repository };
    this.latest.set(kindOf(request), seen);
    if (isRead(request)) this.latest.set('any read', seen);
  }

  /** Drops the challenge to the last request of this kind. */
  forgetPlace(request: RegistryRequest): void {
    this.known.delete(placeOf(request));
  }

  /** Drops all challenges with the same token service. */
  forget({ parameters: { realm } }: Challenge): void {
    for (const [place, challenge] of this.known) if (challenge.parameters.realm === realm) this.known.delete(place);
    for (const [kind, { challenge }] of this.latest) if (challenge.parameters.realm === realm) this.latest.delete(kind);
  }
}

/**
 * Returns the token scope for a request: that of the challenge, otherwise that of Distribution's token specification.
 */
export function scopeFor({ repository, action }: RegistryRequest, { parameters }: Challenge): string {
  if (parameters.scope) return parameters.scope;
  return repository === undefined ? '' : `repository:${repository}:${action ?? 'pull'}`;
}

function placeOf(request: RegistryRequest): string {
  return `${kindOf(request)} ${request.repository ?? ''}`;
}

function kindOf(request: RegistryRequest): string {
  const what = /^\/v2\/.+\/(tags|manifests|blobs|referrers)\//.exec(request.url.pathname)?.[1] ?? 'registry';
  return `${isRead(request) ? 'read' : 'write'} ${what}`;
}

function isRead({ method }: RegistryRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Returns `scope` for the repository `to` instead of `from`, or undefined if it also contains other repositories. */
function renamed(scope: string | undefined, from: string | undefined, to: string): string | undefined {
  const parts = (scope ?? '').split(' ').map((part) => {
    if (!part.startsWith('repository:')) return part;
    return part.startsWith(`repository:${from ?? ''}:`)
      ? `repository:${to}:${part.slice(`repository:${from ?? ''}:`.length)}`
      : undefined;
  });
  return parts.includes(undefined) ? undefined : parts.join(' ');
}
