import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { Settings } from '../config/index.js';
import { BusiestDevices, type DeviceSample } from './busiest-devices.js';
import { MetricsRegistry } from './metrics-registry.js';

export type RefreshResult = 'unchanged' | 'changed' | 'absent' | 'untrusted' | 'denied' | 'unavailable' | 'protocol';

/** Releases as Prometheus sees them. Per-device series exist for METRICS_DEVICES devices with a release only. */
@Injectable()
export class ReleaseMeter {
  private readonly refreshes: Counter<'result'>;
  private sample: () => Iterable<DeviceSample> = () => [];
  private stale: () => number = () => 0;
  private passedOver: () => number = () => 0;

  constructor(metrics: MetricsRegistry, { metricsDevices }: Settings) {
    const registers = [metrics];
    const busiest = new BusiestDevices(metricsDevices);
    const perDevice = (read: (sample: DeviceSample) => number) => {
      return (record: (device: string, value: number) => void): void => {
        for (const sample of busiest.of(this.sample)) record(sample.device, read(sample));
      };
    };
    const hits = perDevice(({ hits: value }) => value);
    const misses = perDevice(({ misses: value }) => value);
    const ages = perDevice(({ ageSeconds }) => ageSeconds);
    new Counter({
      name: 'firmware_cache_hit_total',
      help: 'Device requests answered from memory.',
      labelNames: ['device_id'],
      registers,
      collect() {
        this.reset();
        hits((device, value) => {
          this.labels(device).inc(value);
        });
      },
    });
    new Counter({
      name: 'firmware_cache_miss_total',
      help: 'Device requests that had to wait for the registry.',
      labelNames: ['device_id'],
      registers,
      collect() {
        this.reset();
        misses((device, value) => {
          this.labels(device).inc(value);
        });
      },
    });
    new Gauge({
      name: 'otaflux_release_age_seconds',
      help: 'Seconds since the registry last confirmed the current release of a device.',
      labelNames: ['device_id'],
      registers,
      collect() {
        this.reset();
        ages((device, value) => {
          this.labels(device).set(value);
        });
      },
    });
    const stale = (): number => this.stale();
    new Gauge({
      name: 'otaflux_stale_releases',
      help: 'Devices whose release is served from memory because the last refresh failed.',
      registers,
      collect() {
        this.set(stale());
      },
    });
    const passedOver = (): number => this.passedOver();
    new Gauge({
      name: 'otaflux_unverified_newest',
      help: 'Devices that are served an older release because newer versions are not trusted.',
      registers,
      collect() {
        this.set(passedOver());
      },
    });
    this.refreshes = new Counter({
      name: 'otaflux_refreshes_total',
      help: 'Refreshes of a device by result.',
      labelNames: ['result'],
      registers,
    });
  }

  /** Names where the per-device figures and the numbers of devices are read when they are scraped. */
  observe(sample: () => Iterable<DeviceSample>, stale: () => number, passedOver: () => number): void {
    this.sample = sample;
    this.stale = stale;
    this.passedOver = passedOver;
  }

  refreshed(result: RefreshResult): void {
    this.refreshes.labels(result).inc();
  }
}
