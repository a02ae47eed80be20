import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** The devices that wait for a refresh, read at each scrape. */
export interface QueueSample {
  readonly depth: number;
  readonly oldestSeconds: number;
}

/** The metrics of webhooks and of the queue of refreshes behind them. */
@Injectable()
export class WebhookMeter {
  private readonly webhooks: Counter<'source' | 'result'>;
  private read: () => QueueSample = () => ({ depth: 0, oldestSeconds: 0 });

  constructor(metrics: MetricsRegistry) {
    const registers = [metrics];
    this.webhooks = new Counter({
      name: 'otaflux_webhooks_total',
      help: 'Webhooks by source and result: queued, ignored, unauthorized, too_large, invalid or failed.',
      labelNames: ['source', 'result'],
      registers,
    });
    const sample = (): QueueSample => this.read();
    new Gauge({
      name: 'otaflux_webhook_queue_depth',
      help: 'Devices that wait for a refresh after a webhook.',
      registers,
      collect() {
        this.set(sample().depth);
      },
    });
    new Gauge({
      name: 'otaflux_webhook_queue_age_seconds',
      help: 'Time that the oldest of these devices has waited.',
      registers,
      collect() {
        this.set(sample().oldestSeconds);
      },
    });
  }

  observe(read: () => QueueSample): void {
    this.read = read;
  }

  /** Returns the length and the age of the queue now. */
  sample(): QueueSample {
    return this.read();
  }

  received(source: string, result: string): void {
    this.webhooks.labels(source, result).inc();
  }
}
