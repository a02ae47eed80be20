import {
  Controller,
  Get,
  HttpCode,
  HttpException,
  NotFoundException,
  Post,
  Query,
  ServiceUnavailableException,
  UseGuards,
} from '@nestjs/common';
import { OtaError } from '../errors.js';
import { ReleaseService, type Release } from '../firmware/index.js';
import { ManagementOnly, NotificationMeter, WebhookMeter } from '../metrics/index.js';
import { NotificationService } from '../notification/index.js';
import { isRepositoryName } from '../oci/index.js';
import { PlanStatuses } from '../rollout/index.js';
import { packageVersion } from '../version.js';
import { ManagementToken } from './management-token.js';
import { openApi } from './openapi.js';
import type { DeviceStatus, Status } from './status.js';

/** The state of the server, and what an operator can make it do. On the management port only, protected by MANAGEMENT_TOKEN. */
@Controller()
@UseGuards(ManagementOnly)
export class ControlController {
  private readonly startedMs = performance.now();

  constructor(
    private readonly releases: ReleaseService,
    private readonly notifications: NotificationService,
    private readonly notifiers: NotificationMeter,
    private readonly webhooks: WebhookMeter,
    private readonly plans: PlanStatuses,
  ) {}

  @Get('status')
  @UseGuards(ManagementToken)
  status(@Query('device') device?: string): Status {
    const { depth, oldestSeconds } = this.webhooks.sample();
    return {
      version: packageVersion(),
      uptimeSeconds: seconds(performance.now() - this.startedMs),
      registry: this.releases.registryState.summary,
      webhooks: { waiting: depth, oldestSeconds: seconds(oldestSeconds * 1000) },
      notifiers: this.notifiers.samples().map(([name, { connected, pending }]) => ({ name, connected, pending })),
      devices: this.devices(device),
      plans: this.plans.all(device),
    };
  }

  @Get('openapi.json')
  describe(): object {
    return openApi();
  }

  /** Sends the current release of a device again: 202 with the notifiers, and whether each has confirmed. */
  @Post('notify')
  @HttpCode(202)
  @UseGuards(ManagementToken)
  async notify(
    @Query('device') device = '',
  ): Promise<{ device: string; version: string; confirmed: Record<string, boolean> }> {
    if (!isRepositoryName(device))
      throw new HttpException('device: expected a device id such as esp32 or line-1/sensor', 400);
    const release = await this.refreshed(device);
    const confirmed = await this.notifications.tellAgain(release);
    return { device, version: release.version, confirmed };
  }

  private devices(device: string | undefined): DeviceStatus[] {
    const devices: DeviceStatus[] = [];
    for (const { release, ageMs, failure, passedOver } of this.releases.standing()) {
      if (device !== undefined && release.device !== device) continue;
      devices.push({
        device: release.device,
        version: release.version,
        digest: release.manifestDigest,
        sizeBytes: release.firmware.sizeBytes,
        ageSeconds: seconds(ageMs),
        failure: failure ? this.releases.registryState.reasonOf(failure) : null,
        passedOver,
        pending: this.notifications.pendingOf(release.device),
      });
    }
    return devices.sort((a, b) => (a.device < b.device ? -1 : 1));
  }

  /** Returns the current release according to the registry, or the cached one while the registry cannot be asked. */
  private async refreshed(device: string): Promise<Release> {
    try {
      await this.releases.refreshAnew(device).catch(() => undefined);
      return await this.releases.current(device);
    } catch (error) {
      const failure = OtaError.from(error, 'unavailable', device);
      if (failure.code === 'absent')
        throw new NotFoundException(`${device} has no release. Check the device id, and refresh.failed in the log`);
      throw new ServiceUnavailableException(
        `the release of ${device} is not known: ${this.releases.registryState.reasonOf(failure)}`,
      );
    }
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
