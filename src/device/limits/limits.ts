import { Injectable } from '@nestjs/common';
import { Settings, type Rate } from '../../config/index.js';
import { LimitMeter } from '../../metrics/index.js';
import type { IncomingMessage } from 'node:http';
import { ClientAddress, networkOf, tooManyRequests, type DeviceRequest } from '../../delivery/index.js';
import { RateLimiter } from './rate-limiter.js';

/** Length of a burst in seconds of the rate: devices return together after an outage. */
const BURST_SECONDS = 20;

/**
 * Limit for wrong secrets from one address. A sender with a wrong configuration tries from time to time, an attacker
 * all the time.
 */
const WRONG_SECRETS_PER_SECOND = 0.2;
const WRONG_SECRETS_BURST = 20;

/** Rate limits of addresses and devices. Throws a DeviceRefusal if a limit is exceeded. */
@Injectable()
export class Limits {
  private readonly addresses: ClientAddress;
  private readonly byAddress: RateLimiter | undefined;
  /** Reports: a client sends up to 25 in 2 s, and polls of others must not use up its limit. */
  private readonly byReporter: RateLimiter | undefined;
  private readonly byDevice: RateLimiter | undefined;
  private readonly wrongSecrets = new RateLimiter(WRONG_SECRETS_PER_SECOND, WRONG_SECRETS_BURST);

  constructor(
    settings: Settings,
    private readonly meter: LimitMeter,
  ) {
    this.addresses = new ClientAddress(settings.trustProxy);
    this.byAddress = limiter(settings.addressRateLimit);
    this.byReporter = limiter(settings.addressRateLimit);
    this.byDevice = limiter(settings.deviceRateLimit);
  }

  takeAddress({ raw, receivedAtMs }: DeviceRequest, isReport = false): void {
    const waitMs = this.addressWaitMs(raw, receivedAtMs, isReport ? this.byReporter : this.byAddress);
    if (waitMs > 0)
      throw tooManyRequests(
        waitMs,
        'its address sent more requests than ADDRESS_RATE_LIMIT allows. Raise the limit, or set TRUST_PROXY behind a proxy',
      );
  }

  /** Counts a request of an address. Returns 0, or the milliseconds until a request is allowed. */
  addressWaitMs(raw: IncomingMessage, nowMs: number, limiterOf = this.byAddress): number {
    if (!limiterOf) return 0;
    const waitMs = limiterOf.take(networkOf(this.addresses.of(raw)), nowMs);
    if (waitMs > 0) this.meter.refused('address');
    return waitMs;
  }

  /**
   * Counts a wrong secret of an address. Returns 0, or the milliseconds until a wrong secret is answered with 401
   * again.
   */
  wrongSecretWaitMs(raw: IncomingMessage, nowMs: number): number {
    const waitMs = this.wrongSecrets.take(networkOf(this.addresses.of(raw)), nowMs);
    if (waitMs > 0) this.meter.refused('secret');
    return waitMs;
  }

  /** Returns the address of a request, for logs. */
  addressOf(raw: IncomingMessage): string {
    return this.addresses.of(raw);
  }

  takeDevice(device: string, receivedAtMs: number): void {
    const waitMs = this.byDevice?.take(device, receivedAtMs) ?? 0;
    if (waitMs <= 0) return;
    this.meter.refused('device');
    throw tooManyRequests(waitMs, 'more requests came for this device than DEVICE_RATE_LIMIT allows. Raise the limit');
  }
}

function limiter(rate: Rate | undefined): RateLimiter | undefined {
  return rate && rate.perSecond > 0 ? new RateLimiter(rate.perSecond, rate.perSecond * BURST_SECONDS) : undefined;
}
