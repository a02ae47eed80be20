import { Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import type { OtaErrorCode } from '../errors.js';
import { Registry } from './registry.js';
import { RegistryState } from './registry-state.js';

/** Time between two pings. It doubles while the result stays the same. */
const MIN_SPACING_MS = 1_000;
const MAX_SPACING_MS = 60_000;
/** Time between two log lines about a failure, so that a registry with short outages does not fill the log. */
const LOG_SPACING_MS = 60_000;

/**
 * Checks whether the registry can be used: at the start, in the background, and later when other answers leave a doubt.
 * Logs each change. Nothing waits for it: a server without its registry starts, and answers from its cache.
 */
@Injectable()
export class RegistryCheck implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('RegistryCheck');
  private readonly shutdown = new AbortController();
  private question: Promise<void> | undefined;
  private askedAtMs = -Infinity;
  private spacingMs = MIN_SPACING_MS;
  /** The state that was logged last: reached, or the code of a failure. */
  private logged: 'reached' | OtaErrorCode | undefined;
  private failureLoggedAtMs = -Infinity;

  constructor(
    private readonly registry: Registry,
    private readonly state: RegistryState,
  ) {
    state.notes.subscribe(() => {
      this.log();
    });
    state.doubts.subscribe(() => {
      void this.ask(this.spacingMs);
    });
    state.askedBy(() => this.ask(MIN_SPACING_MS));
  }

  onApplicationBootstrap(): void {
    void this.ask(0);
  }

  beforeApplicationShutdown(): void {
    this.shutdown.abort(new Error('the service is shutting down'));
  }

  /** Resolves when the registry has answered or failed. Resolves at once if it was asked less than `spacingMs` ago. */
  private ask(spacingMs: number): Promise<void> {
    if (this.question) return this.question;
    if (this.shutdown.signal.aborted || performance.now() - this.askedAtMs < spacingMs) return Promise.resolve();
    return (this.question = this.ping());
  }

  private async ping(): Promise<void> {
    const before = this.state.status;
    // RegistryState notes the result.
    await this.registry.ping(this.shutdown.signal).catch(() => undefined);
    this.spacingMs = this.state.status === before ? Math.min(this.spacingMs * 2, MAX_SPACING_MS) : MIN_SPACING_MS;
    this.askedAtMs = performance.now();
    this.question = undefined;
  }

  private log(): void {
    if (this.shutdown.signal.aborted) return;
    const { status, failure } = this.state;
    if (failure) {
      if (this.logged === failure.code) return;
      const nowMs = performance.now();
      if (nowMs - this.failureLoggedAtMs < LOG_SPACING_MS) return;
      this.failureLoggedAtMs = nowMs;
      this.logged = failure.code;
      this.logger.warn({ event: 'registry.failed', ...failure });
    } else if (status === 'up' && this.logged !== 'reached') {
      this.logged = 'reached';
      this.logger.log({ event: 'registry.reached' });
    }
  }
}
