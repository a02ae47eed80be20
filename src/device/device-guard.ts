import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Settings } from '../config/index.js';
import {
  ClientAddress,
  DEVICE_WAIT_MS,
  forbidden,
  notByProxy,
  unauthorized,
  withPatience,
  type DeviceRequest,
} from '../delivery/index.js';
import { LimitMeter } from '../metrics/index.js';
import { DeviceAuthenticator } from './access/index.js';
import type { Ask, DeviceProtocol } from '../protocols/index.js';
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

  /** Checks the connection and the limit of its address, before the request is read. Throws a DeviceRefusal. */
  admit(request: DeviceRequest, isReport = false): void {
    this.limits.takeAddress(request, isReport);
    if (this.proxies) this.demandTls(request, this.proxies);
  }

  /**
   * Checks the access to a product, and its limit. Throws a DeviceRefusal, or rejects with it if an authenticator has to
   * wait.
   */
  check(request: DeviceRequest, ask: Ask, protocol: DeviceProtocol, isReport = false): void | Promise<void> {
    // After the authentication: a stranger must not use up the limit of the device.
    const access = this.authenticators.length === 0 ? undefined : this.authenticate(request, ask, protocol);
    if (access)
      return withPatience(access, DEVICE_WAIT_MS, 'an authenticator').then(() => {
        if (!isReport) this.limits.takeDevice(ask.product, request.receivedAtMs);
      });
    if (!isReport) this.limits.takeDevice(ask.product, request.receivedAtMs);
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

  /** Asks the protocol, and then the authenticators. */
  private authenticate(request: DeviceRequest, ask: Ask, protocol: DeviceProtocol): void | Promise<void> {
    const access = protocol.accessOf?.(request, ask) ?? 'unknown';
    if (access instanceof Promise)
      return access.then((found) =>
        found === 'allowed' ? undefined : this.askAuthenticators(request, ask, 0, found === 'other'),
      );
    return access === 'allowed' ? undefined : this.askAuthenticators(request, ask, 0, access === 'other');
  }

  /** Asks the authenticators from number `first` on. One that allows the request is enough. */
  private askAuthenticators(
    request: DeviceRequest,
    ask: Ask,
    first: number,
    knownBefore: boolean,
  ): void | Promise<void> {
    let isKnown = knownBefore;
    for (let index = first; index < this.authenticators.length; index++) {
      const access = this.authenticators[index]?.accessOf(request, ask);
      if (access instanceof Promise)
        return access.then((found) =>
          found === 'allowed'
            ? undefined
            : this.askAuthenticators(request, ask, index + 1, isKnown || found === 'other'),
        );
      if (access === 'allowed') return;
      isKnown ||= access === 'other';
    }
    this.meter.denied(isKnown ? 'other' : 'unknown');
    throw isKnown ? forbidden() : unauthorized();
  }
}
