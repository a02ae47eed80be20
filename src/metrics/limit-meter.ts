import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** Counts what devices were refused, and shows what is under way. */
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
      help: 'Requests refused by a limit: address, device, downloads, or secret (wrong webhook secrets).',
      labelNames: ['limit'],
      registers,
    });
    this.denials = new Counter({
      name: 'otaflux_device_denied_total',
      help: 'Device requests refused because of who asked: unknown (401) or other (403).',
      labelNames: ['reason'],
      registers,
    });
    this.handshakes = new Counter({
      name: 'otaflux_tls_handshake_failures_total',
      help: 'TLS handshakes with devices that failed.',
      registers,
    });
    const downloads = (): number => this.downloads();
    new Gauge({
      name: 'otaflux_downloads',
      help: 'Firmware downloads under way.',
      registers,
      collect() {
        this.set(downloads());
      },
    });
    const connections = (): number => this.connections();
    new Gauge({
      name: 'otaflux_device_connections',
      help: 'Connections on the device port.',
      registers,
      collect() {
        this.set(connections());
      },
    });
    const notAfterMs = (): number | undefined => this.notAfterMs();
    new Gauge({
      name: 'otaflux_tls_certificate_not_after_seconds',
      help: 'When the TLS certificate of the device port ends, in seconds since the epoch; not there without TLS.',
      labelNames: ['port'],
      registers,
      collect() {
        const ms = notAfterMs();
        if (ms !== undefined) this.labels('device').set(ms / 1000);
      },
    });
  }

  /** Names where the number of downloads is read. */
  observe(downloads: () => number): void {
    this.downloads = downloads;
  }

  /** Names where the number of connections, and the end of the certificate, are read. */
  observeListener(connections: () => number, notAfterMs: () => number | undefined): void {
    this.connections = connections;
    this.notAfterMs = notAfterMs;
  }

  refused(limit: 'address' | 'device' | 'downloads' | 'secret'): void {
    this.refusals.labels(limit).inc();
  }

  denied(reason: 'unknown' | 'other'): void {
    this.denials.labels(reason).inc();
  }

  handshakeFailed(): void {
    this.handshakes.inc();
  }
}
