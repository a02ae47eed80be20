import { Controller, Get, HttpCode, Req, ServiceUnavailableException } from '@nestjs/common';
import {
  HealthCheck,
  HealthCheckService,
  HealthIndicatorService,
  type HealthCheckResult,
  type HealthIndicatorResult,
} from '@nestjs/terminus';
import type { IncomingMessage } from 'node:http';
import { ReleaseService } from '../firmware/index.js';
import { CacheMeter, isManaged, NotificationMeter } from '../metrics/index.js';
import { after } from '../timers.js';
import { Lifecycle } from './lifecycle.js';

/** Shorter than the timeout of probes. */
const ANSWER_MS = 5_000;

/** Health checks. `live` does not depend on other systems. `ready` means that devices can be answered. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly releases: ReleaseService,
    private readonly cache: CacheMeter,
    private readonly notifications: NotificationMeter,
    private readonly lifecycle: Lifecycle,
  ) {}

  /** The health check of the Rust server: 200 with an empty body. */
  @Get()
  @HttpCode(200)
  alive(): void {
    return;
  }

  @Get('live')
  @HealthCheck()
  live(): Promise<HealthCheckResult> {
    return this.health.check([]);
  }

  /**
   * Returns 503 only while the service ends. The response shows the state of the registry, but does not depend on it:
   * cached releases are served without the registry, and a restart would not help.
   */
  @Get('ready')
  @HealthCheck()
  ready(@Req() request: IncomingMessage): Promise<HealthCheckResult> {
    this.demandLife();
    return this.health.check([
      () => this.indicators.check('registry').up(this.registryFor(request)),
      () => this.refreshes(request),
      () => this.store(),
      () => this.brokers(),
    ]);
  }

  /**
   * Returns 503 while the registry cannot be used, and while the service ends. If the registry was not up, asks it
   * again.
   */
  @Get('registry')
  @HealthCheck()
  registry(@Req() request: IncomingMessage): Promise<HealthCheckResult> {
    this.demandLife();
    return this.health.check([
      async () => {
        await this.askRegistry();
        const details = this.registryFor(request);
        const indicator = this.indicators.check('registry');
        return details.state === 'up' ? indicator.up(details) : indicator.down(details);
      },
    ]);
  }

  private demandLife(): void {
    if (this.lifecycle.isEnding)
      throw new ServiceUnavailableException({ status: 'shutting_down', info: {}, error: {}, details: {} });
  }

  private askRegistry(): Promise<void> {
    return new Promise((resolve) => {
      const timer = after(ANSWER_MS, resolve, { background: true });
      void this.releases.registryState.refreshed().then(() => {
        timer.stop();
        resolve();
      });
    });
  }

  /** The device port is public, so its responses contain no reasons, which name hosts. */
  private registryFor(request: IncomingMessage): Record<string, unknown> {
    const { registryState, knownCount } = this.releases;
    const { state, lastAnswer, error } = registryState.summary;
    const shown = error && !isManaged(request) ? { code: error.code } : error;
    return { state, lastAnswer, error: shown, knownDevices: knownCount };
  }

  /** Shows why the last refresh failed. The registry is not the only possible reason. */
  private refreshes(request: IncomingMessage): HealthIndicatorResult {
    const { refreshFailure: failure, registryState } = this.releases;
    const shown = failure && {
      code: failure.code,
      ...(isManaged(request) && { reason: registryState.reasonOf(failure) }),
    };
    return this.indicators.check('refreshes').up({ failure: shown ?? null });
  }

  /**
   * Shows the state of brokers. A broker that is down does not make the server unready, because notices wait for it.
   */
  private brokers(): HealthIndicatorResult {
    const samples = this.notifications.samples().map(([name, sample]) => [name, { ...sample }] as const);
    return this.indicators.check('broker').up(Object.fromEntries(samples));
  }

  private store(): HealthIndicatorResult {
    const { memoryEntries, memoryBytes, diskEntries, diskHealthy } = this.cache.sample();
    return this.indicators.check('cache').up({ memoryEntries, memoryBytes, diskEntries, diskHealthy });
  }
}
