import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import pLimit from 'p-limit';
import picomatch from 'picomatch';
import { Settings } from '../config/index.js';
import { explained } from '../errors.js';
import { isRepositoryName } from '../oci/index.js';
import { Registry } from '../registry/index.js';
import { after, type Timer } from '../timers.js';
import { repositoryPrefix } from './repository-prefix.js';
import { ReleaseService } from './release-service.js';

/** Devices that are refreshed at the same time. Nobody waits for them. */
const CONCURRENCY = 4;
/** Minimum pause, so that REFRESH_INTERVAL=0 does not ask the registry all the time. */
const MIN_INTERVAL_MS = 5_000;
const ALL = 'all';

/**
 * Refreshes the devices of WATCH, even if nobody asks for them: their changes are published without a webhook, and the
 * first device finds its release in memory.
 */
@Injectable()
export class Watcher implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Watcher');
  private readonly stop = new AbortController();
  private readonly limit = pLimit(CONCURRENCY);
  private readonly ids: readonly string[];
  private readonly matches: ((device: string) => boolean) | undefined;
  private readonly prefix: string;
  /** The devices that matched the globs at the last listing. */
  private seen: ReadonlySet<string> = new Set();
  private readonly intervalMs: number;
  private timer: Timer | undefined;
  private failing = false;

  constructor(
    private readonly registry: Registry,
    private readonly releases: ReleaseService,
    settings: Settings,
  ) {
    const watch = settings.watch ?? [];
    const globs = watch.map((item) => (item === ALL ? '**' : item)).filter((item) => !isRepositoryName(item));
    this.ids = watch.filter((item) => item !== ALL && isRepositoryName(item));
    this.matches = globs.length > 0 ? picomatch(globs, { dot: true }) : undefined;
    this.prefix = repositoryPrefix(settings.repositoryPrefix);
    this.intervalMs = Math.max(settings.refreshInterval, MIN_INTERVAL_MS);
  }

  /** Returns whether `device` is watched: WATCH contains it, or it matches a glob and the registry has listed it. */
  watches(device: string): boolean {
    return this.ids.includes(device) || this.seen.has(device);
  }

  /** Returns whether `device` would be watched if the registry listed it. */
  wouldWatch(device: string): boolean {
    return this.ids.includes(device) || (this.matches?.(device) ?? false);
  }

  onApplicationBootstrap(): void {
    if (this.ids.length > 0 || this.matches) void this.round();
  }

  onApplicationShutdown(): void {
    this.stop.abort();
    this.timer?.stop();
  }

  /** Refreshes every device once, and schedules the next round. */
  private async round(): Promise<void> {
    const devices = new Set([...this.ids, ...(await this.listed())]);
    const looks = [...devices].map((device) => this.limit(() => this.look(device)));
    await Promise.all(looks);
    if (this.stop.signal.aborted) return;
    this.timer = after(this.intervalMs, () => void this.round(), { background: true });
  }

  private async look(device: string): Promise<void> {
    if (this.stop.signal.aborted) return;
    // Its failure is noted and logged elsewhere.
    await this.releases.refresh(device).catch(() => undefined);
  }

  /** Returns the devices in the registry that match the globs. */
  private async listed(): Promise<string[]> {
    const { matches } = this;
    if (!matches) return [];
    try {
      const repositories = await this.registry.listRepositories(this.stop.signal);
      this.failing = false;
      this.seen = new Set(
        repositories
          .filter((repository) => repository.startsWith(this.prefix))
          .map((repository) => repository.slice(this.prefix.length))
          .filter((device) => isRepositoryName(device) && matches(device)),
      );
      return [...this.seen];
    } catch (error) {
      if (!this.failing && !this.stop.signal.aborted) this.logger.warn({ event: 'watch.failed', ...explained(error) });
      this.failing = true;
      // If the list is refused, the devices of the last list stay watched.
      return [...this.seen];
    }
  }
}
