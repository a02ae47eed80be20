import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { Settings } from '../config/index.js';
import { BusiestDevices, type DeviceSample } from './busiest-devices.js';
import { MetricsRegistry } from './metrics-registry.js';

export type RefreshResult = 'unchanged' | 'changed' | 'absent' | 'untrusted' | 'denied' | 'unavailable' | 'protocol';

/** The metrics of releases. Only METRICS_DEVICES devices with a release have series of their own. */
@Injectable()
export class ReleaseMeter {
  private readonly refreshes: Counter<'result'>;
  private sample: () => Iterable<DeviceSample> = () => [];
  private stale: () => number = () => 0;
  private passedOver: () => number = () => 0;
  private refusedPlans: () => number = () => 0;

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
      help: 'Requests of devices that were answered from the cache.',
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
      help: 'Requests of devices that had to wait for the registry.',
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
      help: 'Time since the registry last confirmed the current release of the device.',
      labelNames: ['device_id'],
      registers,
      collect() {
        this.reset();
        ages((device, value) => {
          this.labels(device).set(value);
        });
      },
    });
    const samples = (): Iterable<DeviceSample> => busiest.of(this.sample);
    new Gauge({
      name: 'otaflux_plan_serial',
      help: 'Serial of the plan of the device that is in force.',
      labelNames: ['device_id'],
      registers,
      collect() {
        this.reset();
        for (const { device, planSerial } of samples())
          if (planSerial !== undefined) this.labels(device).set(planSerial);
      },
    });
    const refusedPlans = (): number => this.refusedPlans();
    new Gauge({
      name: 'otaflux_plans_rejected',
      help: 'Devices whose plan in the registry was not taken. The last good plan goes on.',
      registers,
      collect() {
        this.set(refusedPlans());
      },
    });
    const stale = (): number => this.stale();
    new Gauge({
      name: 'otaflux_stale_releases',
      help: 'Devices whose last refresh failed. They get the last good release.',
      registers,
      collect() {
        this.set(stale());
      },
    });
    const passedOver = (): number => this.passedOver();
    new Gauge({
      name: 'otaflux_unverified_newest',
      help: 'Devices that get an older release because a newer version has no valid signature.',
      registers,
      collect() {
        this.set(passedOver());
      },
    });
    this.refreshes = new Counter({
      name: 'otaflux_refreshes_total',
      help: 'Refreshes of devices by result: unchanged, changed, or the error code absent, untrusted, denied, unavailable or protocol.',
      labelNames: ['result'],
      registers,
    });
  }

  /** Sets the functions that return the figures of each device and the numbers of devices. They are called at each scrape. */
  observe(
    sample: () => Iterable<DeviceSample>,
    stale: () => number,
    passedOver: () => number,
    refusedPlans: () => number,
  ): void {
    this.sample = sample;
    this.stale = stale;
    this.passedOver = passedOver;
    this.refusedPlans = refusedPlans;
  }

  refreshed(result: RefreshResult): void {
    this.refreshes.labels(result).inc();
  }
}
