import type { Settings } from '../config/index.js';
import { isRepositoryName } from '../oci/index.js';

/** The device that a repository, as the registry names it, belongs to. */
export class DeviceNames {
  private readonly prefix: string;

  constructor({ registryUrl, repositoryPrefix }: Pick<Settings, 'registryUrl' | 'repositoryPrefix'>) {
    const parts = [registryUrl.kind === 'http' ? registryUrl.path : '', repositoryPrefix];
    this.prefix = parts
      .map((part) => part.replaceAll(/^\/+|\/+$/g, ''))
      .filter(Boolean)
      .map((part) => `${part}/`)
      .join('');
  }

  /** Undefined for a repository outside of the prefix, and for what is no repository name. */
  deviceOf(repository: string): string | undefined {
    const device = repository.startsWith(this.prefix) ? repository.slice(this.prefix.length) : '';
    return device && isRepositoryName(device) ? device : undefined;
  }
}
