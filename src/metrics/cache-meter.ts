import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** What the firmware cache holds, read when it is scraped. */
export interface CacheSample {
  readonly memoryEntries: number;
  readonly memoryBytes: number;
  readonly diskEntries: number;
  readonly diskBytes: number;
  /** False after a write or read on CACHE_DIR failed, until one succeeds. */
  readonly diskHealthy: boolean;
}

/** The firmware cache as Prometheus sees it. */
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
    gauge('otaflux_cache_memory_bytes', 'Bytes of firmware in memory.', ({ memoryBytes }) => memoryBytes);
    gauge('otaflux_cache_disk_entries', 'Firmware images on disk.', ({ diskEntries }) => diskEntries);
    gauge('otaflux_cache_disk_bytes', 'Bytes of firmware on disk.', ({ diskBytes }) => diskBytes);
    gauge('otaflux_cache_disk_healthy', '1 while the cache folder works, 0 after it failed.', ({ diskHealthy }) =>
      Number(diskHealthy),
    );
    this.failures = new Counter({
      name: 'otaflux_cache_disk_failures_total',
      help: 'Reads and writes of the cache folder that failed.',
      registers: [metrics],
    });
  }

  observe(read: () => CacheSample): void {
    this.read = read;
  }

  /** What the cache holds now. */
  sample(): CacheSample {
    return this.read();
  }

  diskFailed(): void {
    this.failures.inc();
  }
}
