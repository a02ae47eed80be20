import { Controller, Get, HttpCode, ServiceUnavailableException } from '@nestjs/common';
import {
  HealthCheck,
  HealthCheckService,
  HealthIndicatorService,
  type HealthCheckResult,
  type HealthIndicatorResult,
} from '@nestjs/terminus';
import { reasonOf } from '../errors.js';
import { ReleaseService } from '../firmware/index.js';
import { CacheMeter, NotificationMeter } from '../metrics/index.js';
import { Lifecycle } from './lifecycle.js';

/** Probes. Live never depends on the outside; ready means that devices can be answered. */
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

  /** The Rust server's probe: 200 with an empty body. */
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
   * 503 only while the service ends. A registry that is down is told and does not count: what is known goes on being
   * served, and a server without traffic would never learn that the registry is back.
   */
  @Get('ready')
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    if (this.lifecycle.isEnding)
      throw new ServiceUnavailableException({ status: 'shutting_down', info: {}, error: {}, details: {} });
    return this.health.check([() => this.registry(), () => this.refreshes(), () => this.store(), () => this.brokers()]);
  }

  private registry(): HealthIndicatorResult {
    const { status, lastAnswerAtMs } = this.releases.registryState;
    return this.indicators.check('registry').up({
      state: status,
      lastAnswer: lastAnswerAtMs === undefined ? null : new Date(lastAnswerAtMs).toISOString(),
      knownDevices: this.releases.knownCount,
    });
  }

  /** Why the last refresh failed: not only a registry can stop one. */
  private refreshes(): HealthIndicatorResult {
    const failure = this.releases.refreshFailure;
    return this.indicators
      .check('refreshes')
      .up({ failure: failure ? { code: failure.code, reason: reasonOf(failure) } : null });
  }

  /** A broker that is away is told and does not count: notices wait for it. */
  private brokers(): HealthIndicatorResult {
    const samples = this.notifications.samples().map(([name, sample]) => [name, { ...sample }] as const);
    return this.indicators.check('broker').up(Object.fromEntries(samples));
  }

  private store(): HealthIndicatorResult {
    const { memoryEntries, memoryBytes, diskEntries, diskHealthy } = this.cache.sample();
    return this.indicators.check('cache').up({ memoryEntries, memoryBytes, diskEntries, diskHealthy });
  }
}
