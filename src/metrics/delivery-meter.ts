import { Injectable } from '@nestjs/common';
import { Counter } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** How a download ended: `complete` if its last byte was handed to the operating system, otherwise `broken_off`. */
export type DownloadOutcome = 'complete' | 'broken_off';

/** The metrics of firmware downloads. */
@Injectable()
export class DeliveryMeter {
  private bytes = 0;
  private readonly outcomes: Record<DownloadOutcome, number> = { complete: 0, broken_off: 0 };

  constructor(metrics: MetricsRegistry) {
    const registers = [metrics];
    const bytes = (): number => this.bytes;
    new Counter({
      name: 'otaflux_firmware_bytes_sent_total',
      help: 'Bytes of firmware sent to devices.',
      registers,
      collect() {
        this.reset();
        this.inc(bytes());
      },
    });
    const { outcomes } = this;
    new Counter({
      name: 'otaflux_firmware_downloads_total',
      help: 'Ended downloads of a whole image or a range, by outcome: complete or broken_off.',
      labelNames: ['outcome'],
      registers,
      collect() {
        this.reset();
        for (const [outcome, count] of Object.entries(outcomes)) this.labels(outcome).inc(count);
      },
    });
  }

  sent(bytes: number): void {
    this.bytes += bytes;
  }

  ended(outcome: DownloadOutcome): void {
    this.outcomes[outcome]++;
  }
}
