import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** How a notifier stands, read when it is scraped. */
export interface NotifierSample {
  readonly pending: number;
  readonly connected: boolean;
}

/** Counts notices by notifier, and shows what waits. */
@Injectable()
export class NotificationMeter {
  private readonly notices: Counter<'notifier' | 'result'>;
  private readonly delays: Histogram<'notifier'>;
  private readonly notifiers = new Map<string, () => NotifierSample>();

  constructor(metrics: MetricsRegistry) {
    const registers = [metrics];
    this.notices = new Counter({
      name: 'otaflux_notices_total',
      help: 'Notices handed to a notifier: confirmed, or failed and tried again.',
      labelNames: ['notifier', 'result'],
      registers,
    });
    this.delays = new Histogram({
      name: 'otaflux_notice_delay_seconds',
      help: 'From the webhook, or the refresh that found the change, to the confirmation of its notice.',
      labelNames: ['notifier'],
      buckets: [0.01, 0.05, 0.25, 1, 5, 30, 300],
      registers,
    });
    const gauge = (name: string, help: string, read: (sample: NotifierSample) => number): void => {
      const samples = (): [string, NotifierSample][] => this.samples();
      new Gauge({
        name,
        help,
        labelNames: ['notifier'],
        registers,
        collect() {
          for (const [notifier, sample] of samples()) this.labels(notifier).set(read(sample));
        },
      });
    };
    gauge('otaflux_notices_pending', 'Notices that are not confirmed yet.', ({ pending }) => pending);
    gauge('otaflux_notifier_connected', '1 while a notifier can be handed notices.', ({ connected }) =>
      Number(connected),
    );
  }

  observe(notifier: string, read: () => NotifierSample): void {
    this.notifiers.set(notifier, read);
  }

  /** Every notifier by its name, as it stands now. */
  samples(): [string, NotifierSample][] {
    return [...this.notifiers].map(([name, read]) => [name, read()]);
  }

  told(notifier: string, delaySeconds: number): void {
    this.notices.labels(notifier, 'confirmed').inc();
    this.delays.labels(notifier).observe(delaySeconds);
  }

  failed(notifier: string): void {
    this.notices.labels(notifier, 'failed').inc();
  }
}
