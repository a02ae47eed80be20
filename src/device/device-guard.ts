import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Settings } from '../config/index.js';
import { ClientAddress, forbidden, notByProxy, unauthorized, type DeviceRequest } from '../delivery/index.js';
import { LimitMeter } from '../metrics/index.js';
import { DeviceAuthenticator } from './access/index.js';
import type { DeviceProtocol } from './device-protocol.js';
import { Limits } from './limits/limits.js';

/** Injection token of the list of authenticators. */
export const DEVICE_AUTHENTICATORS = Symbol('device authenticators');

/** Checks every device request before a protocol answers it: its connection, limits, and access to the device. */
@Injectable()
export class DeviceGuard implements OnApplicationShutdown {
  /** The proxies of PRODUCTION that terminate TLS. Undefined if requests may come from anywhere. */
  private readonly proxies: ClientAddress | undefined;
  /** Connections that PRODUCTION allows: each is checked once. */
  private readonly allowed = new WeakSet<Socket>();

  constructor(
    @Inject(DEVICE_AUTHENTICATORS) private readonly authenticators: readonly DeviceAuthenticator[],
    private readonly limits: Limits,
    private readonly meter: LimitMeter,
    { production, trustProxy = [] }: Settings,
  ) {
    if (production && trustProxy.length > 0) this.proxies = new ClientAddress(trustProxy);
  }

  /** Throws the DeviceRefusal for a request that is not allowed. */
  check(protocol: DeviceProtocol, request: DeviceRequest): void {
    this.limits.takeAddress(request);
    if (this.proxies) this.demandTls(request, this.proxies);
    if (this.authenticators.length === 0 && !this.limits.countsDevices) return;
    const device = this.deviceOf(protocol, request);
    if (device === undefined) return;
    if (this.authenticators.length > 0) this.authenticate(request, device);
    // After the authentication: a stranger must not use up the limit of the device.
    this.limits.takeDevice(device, request.receivedAtMs);
  }

  /**
   * Returns the device of the request. If authentication is on, a request without a device is refused here. Otherwise
   * its protocol answers it.
   */
  private deviceOf(protocol: DeviceProtocol, request: DeviceRequest): string | undefined {
    try {
      return protocol.deviceOf(request);
    } catch (error) {
      if (this.authenticators.length > 0) throw error;
      return undefined;
    }
  }

  onApplicationShutdown(): void {
    for (const authenticator of this.authenticators) authenticator.close();
  }

  /** Throws for a request in plain text that no proxy forwards. Webhooks and probes are no device requests. */
  private demandTls({ raw }: DeviceRequest, proxies: ClientAddress): void {
    if (this.allowed.has(raw.socket)) return;
    if (!(raw.socket instanceof TLSSocket) && !proxies.isProxied(raw)) {
      this.meter.denied('direct');
      throw notByProxy();
    }
    this.allowed.add(raw.socket);
  }

  private authenticate(request: DeviceRequest, device: string): void {
    let isKnown = false;
    for (const authenticator of this.authenticators) {
      const access = authenticator.accessOf(request, device);
      if (access === 'allowed') return;
      isKnown ||= access === 'other';
    }
    this.meter.denied(isKnown ? 'other' : 'unknown');
    throw isKnown ? forbidden() : unauthorized();
  }
}
