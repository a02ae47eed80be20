import { OtaError } from '../../errors.js';
import { isDigest, isRepositoryName, isTag } from '../../oci/index.js';

/** The names of Docker Hub that people write. Its API is available under one of them only. */
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

/** The address of a registry's API, and the names of its repositories there. */
export class Endpoint {
  readonly origin: string;
  private readonly dockerHub: boolean;

  /**
   * @param origin scheme, host and port
   * @param path prefix of every repository, without slashes at its ends (the repository key of Artifactory, a project
   *   of Harbor)
   */
  constructor(
    origin: string,
    private readonly path: string,
  ) {
    const url = new URL(origin);
    this.dockerHub = DOCKER_HUB.has(url.hostname);
    this.origin = this.dockerHub ? 'https://registry-1.docker.io' : url.origin;
  }

  /** The host under which credentials are stored. */
  get host(): string {
    return new URL(this.origin).host;
  }

  /** Returns the full name of `repository`, as it appears in token scopes and URLs. */
  nameOf(repository: string): string {
    const name = this.path ? `${this.path}/${repository}` : repository;
    return this.dockerHub && !name.includes('/') ? `library/${name}` : name;
  }

  /**
   * Returns the part of the repository name `name` after the path of this endpoint, or undefined if it has another
   * path.
   */
  repositoryOf(name: string): string | undefined {
    if (!this.path) return name;
    return name.startsWith(`${this.path}/`) ? name.slice(this.path.length + 1) : undefined;
  }

  /**
   * Returns the URL of a repository. `rest` is the part after the name, such as `tags/list`. Throws OtaError `protocol`
   * if the repository name or `rest` is not valid: ids and references come from outside, and a `..` would lead to
   * another API of the host.
   */
  url(repository: string, rest: string): URL {
    if (!isRepositoryName(repository))
      throw new OtaError('protocol', `not a repository name: ${JSON.stringify(repository.slice(0, 300))}`);
    if (!belongsToRepository(rest))
      throw new OtaError(
        'protocol',
        `not a tag, digest or list of ${repository}: ${JSON.stringify(rest.slice(0, 300))}`,
      );
    return new URL(`/v2/${this.nameOf(repository)}/${rest}`, this.origin);
  }
}

/** The paths of the distribution spec that OtaFlux uses. */
function belongsToRepository(rest: string): boolean {
  const [, what = '', reference = '', query] = /^([a-z]+)\/([^?]*)(\?.*)?$/s.exec(rest) ?? [];
  if (what === 'tags') return reference === 'list';
  if (what === 'manifests') return query === undefined && (isTag(reference) || isDigest(reference));
  if (what === 'blobs') return query === undefined && (isDigest(reference) || reference === 'uploads/');
  return what === 'referrers' && isDigest(reference);
}
