import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** What waits to be refreshed, read when it is scraped. */
export interface QueueSample {
  readonly depth: number;
  readonly oldestSeconds: number;
}

/** Counts webhooks, and shows the queue behind them. */
@Injectable()
export class WebhookMeter {
  private readonly webhooks: Counter<'source' | 'result'>;
  private read: () => QueueSample = () => ({ depth: 0, oldestSeconds: 0 });

  constructor(metrics: MetricsRegistry) {
    const registers = [metrics];
    this.webhooks = new Counter({
      name: 'otaflux_webhooks_total',
      help: 'Webhooks by source and result: queued, ignored, unauthorized, too_large, invalid, failed.',
      labelNames: ['source', 'result'],
      registers,
    });
    const sample = (): QueueSample => this.read();
    new Gauge({
      name: 'otaflux_webhook_queue_depth',
      help: 'Devices that wait to be refreshed because of a webhook.',
      registers,
      collect() {
        this.set(sample().depth);
      },
    });
    new Gauge({
      name: 'otaflux_webhook_queue_age_seconds',
      help: 'How long the oldest of them has been waiting.',
      registers,
      collect() {
        this.set(sample().oldestSeconds);
      },
    });
  }

  observe(read: () => QueueSample): void {
    this.read = read;
  }

  /** What waits now. */
  sample(): QueueSample {
    return this.read();
  }

  received(source: string, result: string): void {
    this.webhooks.labels(source, result).inc();
  }
}
