import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** The content of the firmware cache, read at each scrape. */
export interface CacheSample {
  readonly memoryEntries: number;
  readonly memoryBytes: number;
  readonly diskEntries: number;
  readonly diskBytes: number;
  /** False after an operation on CACHE_DIR failed, until a write succeeds. */
  readonly diskHealthy: boolean;
}

/** The metrics of the firmware cache. */
@Injectable()
export class CacheMeter {
  private read: () => CacheSample = () => ({
    memoryEntries: 0,
    memoryBytes: 0,
    diskEntries: 0,
    diskBytes: 0,
    diskHealthy: true,
  });
  private readonly failures: Counter;

  constructor(metrics: MetricsRegistry) {
    const gauge = (name: string, help: string, pick: (sample: CacheSample) => number): void => {
      const sample = (): CacheSample => this.read();
      new Gauge({
        name,
        help,
        registers: [metrics],
        collect() {
          this.set(pick(sample()));
        },
      });
    };
    gauge('firmware_cache_entries', 'Firmware images in memory.', ({ memoryEntries }) => memoryEntries);
    gauge('otaflux_cache_memory_bytes', 'Size of the firmware images in memory.', ({ memoryBytes }) => memoryBytes);
    gauge(
      'otaflux_cache_disk_entries',
      'Firmware images on disk, in the cache folder or the temporary folder.',
      ({ diskEntries }) => diskEntries,
    );
    gauge('otaflux_cache_disk_bytes', 'Size of the firmware images on disk.', ({ diskBytes }) => diskBytes);
    gauge(
      'otaflux_cache_disk_healthy',
      '0 after an error of the cache folder, until a write succeeds. Otherwise 1.',
      ({ diskHealthy }) => Number(diskHealthy),
    );
    this.failures = new Counter({
      name: 'otaflux_cache_disk_failures_total',
      help: 'Failed operations on the cache folder.',
      registers: [metrics],
    });
  }

  observe(read: () => CacheSample): void {
    this.read = read;
  }

  /** Returns the content of the cache now. */
  sample(): CacheSample {
    return this.read();
  }

  diskFailed(): void {
    this.failures.inc();
  }
}
