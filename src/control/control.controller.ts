import {
  Controller,
  Get,
  HttpCode,
  HttpException,
  NotFoundException,
  Post,
  Query,
  Req,
  ServiceUnavailableException,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { Settings } from '../config/index.js';
import { OtaError } from '../errors.js';
import { ReleaseService, type Release } from '../firmware/index.js';
import { ManagementOnly, NotificationMeter, WebhookMeter } from '../metrics/index.js';
import { NotificationService } from '../notification/index.js';
import { isRepositoryName } from '../oci/index.js';
import { packageVersion } from '../version.js';
import { WebhookSecrets } from '../webhook/index.js';
import { openApi } from './openapi.js';
import type { DeviceStatus, Status } from './status.js';

/** How the server stands, and what an operator may have it do: on the management port, for those who show WEBHOOK_SECRET. */
@Controller()
@UseGuards(ManagementOnly)
export class ControlController {
  private readonly secrets: WebhookSecrets;
  private readonly startedMs = performance.now();

  constructor(
    private readonly releases: ReleaseService,
    private readonly notifications: NotificationService,
    private readonly notifiers: NotificationMeter,
    private readonly webhooks: WebhookMeter,
    settings: Settings,
  ) {
    this.secrets = new WebhookSecrets(settings.webhookSecret ?? []);
  }

  @Get('status')
  status(@Req() request: IncomingMessage, @Query('device') device?: string): Status {
    this.demandSecret(request);
    const { depth, oldestSeconds } = this.webhooks.sample();
    return {
      version: packageVersion(),
      uptimeSeconds: seconds(performance.now() - this.startedMs),
      registry: this.releases.registryState.summary,
      webhooks: { waiting: depth, oldestSeconds: seconds(oldestSeconds * 1000) },
      notifiers: this.notifiers.samples().map(([name, { connected, pending }]) => ({ name, connected, pending })),
      devices: this.devices(device),
    };
  }

  @Get('openapi.json')
  describe(): object {
    return openApi();
  }

  /** Tells the current release of a device again: 202 with the notifiers, and whether each has confirmed. */
  @Post('notify')
  @HttpCode(202)
  async notify(
    @Req() request: IncomingMessage,
    @Query('device') device = '',
  ): Promise<{ device: string; version: string; confirmed: Record<string, boolean> }> {
    this.demandSecret(request);
    if (!isRepositoryName(device)) throw new HttpException('device: a device id such as esp32 or line-1/sensor', 400);
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

  /** What the registry says now; what is known while it cannot be asked. */
  private async refreshed(device: string): Promise<Release> {
    try {
      await this.releases.refreshAnew(device).catch(() => undefined);
      return await this.releases.current(device);
    } catch (error) {
      const failure = OtaError.from(error, 'unavailable', device);
      if (failure.code === 'absent') throw new NotFoundException(`${device} has no release`);
      throw new ServiceUnavailableException(`${device} has no release now: ${failure.code}`);
    }
  }

  private demandSecret(request: IncomingMessage): void {
    if (!this.secrets.isShownBy(request)) throw new UnauthorizedException('the webhook secret is missing or wrong');
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
