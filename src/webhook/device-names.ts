import { Injectable } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { ReleaseService, Watcher } from '../firmware/index.js';
import { isRepositoryName, MAX_REPOSITORY_LENGTH } from '../oci/index.js';
import type { RepositoryChange } from './repository-change.js';

/**
 * `known`: it has a release or is watched. `new`: unknown so far, but the sender may announce it. `guess`: it may be a
 * device.
 */
export type Standing = 'known' | 'new' | 'guess';

/** A device that a change affects, and that may be queued. */
export interface Concerned {
  readonly device: string;
  readonly standing: Standing;
}

/** Finds the devices that a change affects (docs/webhooks.md, "Which device is refreshed"; decision 31). */
@Injectable()
export class DeviceNames {
  private readonly prefix: string;
  /** REPOSITORY_PREFIX alone, which Harbor knows even if it does not know the path in REGISTRY_URL. */
  private readonly ownPrefix: string;
  /** Without a secret, anybody may send names. */
  private readonly isOpen: boolean;

  constructor(
    private readonly releases: ReleaseService,
    private readonly watcher: Watcher,
    { registryUrl, repositoryPrefix, webhookSecret }: Settings,
  ) {
    const path = registryUrl.kind === 'http' ? registryUrl.path : '';
    this.ownPrefix = repositoryPrefix && `${repositoryPrefix}/`;
    this.prefix = (path && `${path}/`) + this.ownPrefix;
    this.isOpen = (webhookSecret ?? []).length === 0;
  }

  /**
   * Returns the devices to refresh because of `change`. Returns none for a repository outside of the prefix, for an
   * invalid repository name and, without a secret, for an unknown device.
   */
  concernedBy(change: RepositoryChange): Concerned[] {
    const full = this.deviceOf(change.repository);
    const short = this.deviceBehindProxy(change);
    if (full !== undefined && this.isKnown(full)) return [{ device: full, standing: 'known' }];
    const concerned: Concerned[] = [];
    if (short !== undefined && this.isKnown(short)) concerned.push({ device: short, standing: 'known' });
    // The registry may be reached by another path than the one in Harbor's message. Only the registry can tell whether
    // it has the name.
    else if (short !== undefined && full === undefined) concerned.push({ device: short, standing: 'guess' });
    if (full !== undefined && !this.isOpen) concerned.push({ device: full, standing: 'new' });
    else if (full !== undefined && this.watcher.wouldWatch(full)) concerned.push({ device: full, standing: 'guess' });
    return concerned;
  }

  /** Returns whether a device that another replica names is one that this replica serves or watches. */
  serves(device: string): boolean {
    return isRepositoryName(device) && this.isKnown(device);
  }

  /** Returns why `change` affects no device, as a sentence for the person who set up the webhook. */
  whyNone({ repository }: RepositoryChange): string {
    const shown = JSON.stringify(repository.slice(0, MAX_REPOSITORY_LENGTH));
    if (!isRepositoryName(repository)) return `${shown} is not a repository name`;
    if (this.deviceOf(repository) === undefined)
      return `${shown} is outside of ${JSON.stringify(this.prefix)}, below which devices are. Check REPOSITORY_PREFIX and the path in REGISTRY_URL`;
    return `${shown} is the repository of no device that has a release or is watched. Set WEBHOOK_SECRET, or name the device in WATCH, to have it refreshed all the same`;
  }

  private deviceOf(repository: string): string | undefined {
    return below(this.prefix, repository);
  }

  /**
   * Returns the device if the registry is reached through a proxy whose path Harbor does not know. The rest below
   * REPOSITORY_PREFIX is the device. Without a prefix it is the short name, which lacks Harbor's project. A prefix
   * wins over the short name: a repository outside of it must be reported (decision 31).
   */
  private deviceBehindProxy({ repository, name }: RepositoryChange): string | undefined {
    if (name === undefined) return undefined;
    if (this.ownPrefix) return below(this.ownPrefix, repository);
    return isRepositoryName(name) ? name : undefined;
  }

  private isKnown(device: string): boolean {
    return this.releases.knows(device) || this.watcher.watches(device);
  }
}

/** Returns the part of a repository name below `prefix`, or undefined if the name is outside of it. */
function below(prefix: string, repository: string): string | undefined {
  const device = repository.startsWith(prefix) ? repository.slice(prefix.length) : '';
  return device && isRepositoryName(device) ? device : undefined;
}
