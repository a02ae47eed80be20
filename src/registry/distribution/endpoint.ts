import { OtaError } from '../../errors.js';
import { isRepositoryName } from '../../oci/index.js';

/** Docker Hub by the names that people write; the API is on one of them only. */
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

/** Where a registry's API is, and what its repositories are called there. */
export class Endpoint {
  readonly origin: string;
  private readonly dockerHub: boolean;

  /**
   * @param origin scheme, host and port
   * @param path what stands before every repository, without slashes around it (Artifactory's repository key, a Harbor project)
   */
  constructor(
    origin: string,
    private readonly path: string,
  ) {
    const url = new URL(origin);
    this.dockerHub = DOCKER_HUB.has(url.hostname);
    this.origin = this.dockerHub ? 'https://registry-1.docker.io' : url.origin;
  }

  /** The host that credentials are kept under. */
  get host(): string {
    return new URL(this.origin).host;
  }

  /** The whole name of `repository`, as token scopes and URLs have it. */
  nameOf(repository: string): string {
    const name = this.path ? `${this.path}/${repository}` : repository;
    return this.dockerHub && !name.includes('/') ? `library/${name}` : name;
  }

  /** What the repository `name` of the registry is called behind our path; undefined when it stands elsewhere. */
  repositoryOf(name: string): string | undefined {
    if (!this.path) return name;
    return name.startsWith(`${this.path}/`) ? name.slice(this.path.length + 1) : undefined;
  }

  /**
   * @param rest what follows the name, such as `tags/list`
   * @throws OtaError `absent` for what no repository can be called, which could be another path of the registry
   */
  url(repository: string, rest: string): URL {
    if (!isRepositoryName(repository))
      throw new OtaError('absent', `${JSON.stringify(repository.slice(0, 100))} is not a repository name`);
    return new URL(`/v2/${this.nameOf(repository)}/${rest}`, this.origin);
  }
}
