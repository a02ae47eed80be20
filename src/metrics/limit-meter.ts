import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** The metrics of limits, access control and the device port. */
@Injectable()
export class LimitMeter {
  private readonly refusals: Counter<'limit'>;
  private readonly denials: Counter<'reason'>;
  private downloads: () => number = () => 0;
  private connections: () => number = () => 0;
  private notAfterMs: () => number | undefined = () => undefined;
  private readonly handshakes: Counter;

  constructor(metrics: MetricsRegistry) {
    const registers = [metrics];
    this.refusals = new Counter({
      name: 'otaflux_limited_total',
      help: 'Requests refused because of a limit: address, device, downloads, or secret (wrong webhook secrets).',
      labelNames: ['limit'],
      registers,
    });
    this.denials = new Counter({
      name: 'otaflux_device_denied_total',
      help: 'Device requests refused by reason: unknown (401, no valid credentials), other (403, credentials of another device) or direct (403, plain HTTP past the proxy in production).',
      labelNames: ['reason'],
      registers,
    });
    this.handshakes = new Counter({
      name: 'otaflux_tls_handshake_failures_total',
      help: 'Failed TLS handshakes on the device port.',
      registers,
    });
    const downloads = (): number => this.downloads();
    new Gauge({
      name: 'otaflux_downloads',
      help: 'Firmware downloads in progress.',
      registers,
      collect() {
        this.set(downloads());
      },
    });
    const connections = (): number => this.connections();
    new Gauge({
      name: 'otaflux_device_connections',
      help: 'Open connections on the device port.',
      registers,
      collect() {
        this.set(connections());
      },
    });
    const notAfterMs = (): number | undefined => this.notAfterMs();
    new Gauge({
      name: 'otaflux_tls_certificate_not_after_seconds',
      help: 'Time at which the TLS certificate of the device port expires, as a Unix timestamp. No series without TLS.',
      labelNames: ['port'],
      registers,
      collect() {
        const ms = notAfterMs();
        if (ms !== undefined) this.labels('device').set(ms / 1000);
      },
    });
  }

  /** Sets the function that returns the number of downloads in progress. */
  observe(downloads: () => number): void {
    this.downloads = downloads;
  }

  /** Sets the functions that return the number of connections and the expiry of the certificate. */
  observeListener(connections: () => number, notAfterMs: () => number | undefined): void {
    this.connections = connections;
    this.notAfterMs = notAfterMs;
  }

  refused(limit: 'address' | 'device' | 'downloads' | 'secret'): void {
    this.refusals.labels(limit).inc();
  }

  denied(reason: 'unknown' | 'other' | 'direct'): void {
    this.denials.labels(reason).inc();
  }

  handshakeFailed(): void {
    this.handshakes.inc();
  }
}
