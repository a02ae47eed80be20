import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** The state of a notifier, read at each scrape. */
export interface NotifierSample {
  readonly pending: number;
  readonly connected: boolean;
}

/** The metrics of notices and notifiers. */
@Injectable()
export class NotificationMeter {
  private readonly notices: Counter<'notifier' | 'result'>;
  private readonly delays: Histogram<'notifier'>;
  private readonly notifiers = new Map<string, () => NotifierSample>();

  constructor(metrics: MetricsRegistry) {
    const registers = [metrics];
    this.notices = new Counter({
      name: 'otaflux_notices_total',
      help: 'Attempts to send a message to a receiver, by result: confirmed or failed.',
      labelNames: ['notifier', 'result'],
      registers,
    });
    this.delays = new Histogram({
      name: 'otaflux_notice_delay_seconds',
      help: 'Time from the webhook, or the refresh that found the change, to the confirmation of the message.',
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
    gauge('otaflux_notices_pending', 'Messages that the receiver has not confirmed yet.', ({ pending }) => pending);
    gauge('otaflux_notifier_connected', '1 if the receiver is connected, otherwise 0.', ({ connected }) =>
      Number(connected),
    );
  }

  observe(notifier: string, read: () => NotifierSample): void {
    this.notifiers.set(notifier, read);
  }

  /** Returns the state of every notifier now, by name. */
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
