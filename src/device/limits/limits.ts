import { Injectable } from '@nestjs/common';
import { Settings, type Rate } from '../../config/index.js';
import { LimitMeter } from '../../metrics/index.js';
import type { IncomingMessage } from 'node:http';
import { ClientAddress, networkOf, tooManyRequests, type DeviceRequest } from '../../delivery/index.js';
import { RateLimiter } from './rate-limiter.js';

/** A rate is granted at once for so many seconds: devices come back together after an outage. */
const BURST_SECONDS = 20;

/** Wrong secrets that one address may show: a sender that is set up wrongly tries now and then, who guesses does not stop. */
const WRONG_SECRETS_PER_SECOND = 0.2;
const WRONG_SECRETS_BURST = 20;

/** What one address and one device may ask for. Throws the DeviceRefusal of what is too much. */
@Injectable()
export class Limits {
  private readonly addresses: ClientAddress;
  private readonly byAddress: RateLimiter | undefined;
  private readonly byDevice: RateLimiter | undefined;
  private readonly wrongSecrets = new RateLimiter(WRONG_SECRETS_PER_SECOND, WRONG_SECRETS_BURST);

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
    const waitMs = this.addressWaitMs(raw, receivedAtMs);
    if (waitMs > 0) throw tooManyRequests(waitMs, 'its address sent more requests than ADDRESS_RATE_LIMIT allows');
  }

  /** Counts a request of an address, whatever it asks for; 0, or the milliseconds after which one would be taken. */
  addressWaitMs(raw: IncomingMessage, nowMs: number): number {
    if (!this.byAddress) return 0;
    const waitMs = this.byAddress.take(networkOf(this.addresses.of(raw)), nowMs);
    if (waitMs > 0) this.meter.refused('address');
    return waitMs;
  }

  /** Counts a wrong secret that an address has shown; 0, or the milliseconds after which a further wrong one is answered 401 again. */
  wrongSecretWaitMs(raw: IncomingMessage, nowMs: number): number {
    const waitMs = this.wrongSecrets.take(networkOf(this.addresses.of(raw)), nowMs);
    if (waitMs > 0) this.meter.refused('secret');
    return waitMs;
  }

  /** The address that a request came from, for logs. */
  addressOf(raw: IncomingMessage): string {
    return this.addresses.of(raw);
  }

  takeDevice(device: string, receivedAtMs: number): void {
    const waitMs = this.byDevice?.take(device, receivedAtMs) ?? 0;
    if (waitMs <= 0) return;
    this.meter.refused('device');
    throw tooManyRequests(waitMs, 'more requests came for this device than DEVICE_RATE_LIMIT allows');
  }
}

function limiter(rate: Rate | undefined): RateLimiter | undefined {
  return rate && rate.perSecond > 0 ? new RateLimiter(rate.perSecond, rate.perSecond * BURST_SECONDS) : undefined;
}
