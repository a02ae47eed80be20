import { Injectable } from '@nestjs/common';
import { Settings, type Rate } from '../../config/index.js';
import { LimitMeter } from '../../metrics/index.js';
import { tooManyRequests, type DeviceRequest } from '../../delivery/index.js';
import { ClientAddress } from '../client-address.js';
import { RateLimiter } from './rate-limiter.js';

/** A rate is granted at once for so many seconds: devices come back together after an outage. */
const BURST_SECONDS = 20;

/** What one address and one device may ask for. Throws the DeviceRefusal of what is too much. */
@Injectable()
export class Limits {
  private readonly addresses: ClientAddress;
  private readonly byAddress: RateLimiter | undefined;
  private readonly byDevice: RateLimiter | undefined;

  constructor(
    settings: Settings,
    private readonly meter: LimitMeter,
  ) {
    this.addresses = new ClientAddress(settings.trustProxy);
    this.byAddress = limiter(settings.addressRateLimit);
    this.byDevice = limiter(settings.deviceRateLimit);
  }

  /** Whether `takeDevice` has anything to count. */
  get countsDevices(): boolean {
    return this.byDevice !== undefined;
  }

  takeAddress({ raw, receivedAtMs }: DeviceRequest): void {
    const waitMs = this.byAddress?.take(this.addresses.of(raw), receivedAtMs) ?? 0;
    if (waitMs > 0) this.refuse('address', waitMs);
  }

  takeDevice(device: string, receivedAtMs: number): void {
    const waitMs = this.byDevice?.take(device, receivedAtMs) ?? 0;
    if (waitMs > 0) this.refuse('device', waitMs);
  }

  private refuse(limit: 'address' | 'device', waitMs: number): never {
    this.meter.refused(limit);
    throw tooManyRequests(waitMs);
  }
}

function limiter(rate: Rate | undefined): RateLimiter | undefined {
  return rate && rate.perSecond > 0 ? new RateLimiter(rate.perSecond, rate.perSecond * BURST_SECONDS) : undefined;
}
