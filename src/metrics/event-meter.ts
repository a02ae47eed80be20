import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** The state of a broker of EVENTS, read at each scrape. */
export interface EventBrokerSample {
  readonly connected: boolean;
  readonly waiting: number;
}

/** The metrics of messages from brokers. */
@Injectable()
export class EventMeter {
  private readonly events: Counter<'broker' | 'result'>;
  private readonly brokers = new Map<string, () => EventBrokerSample>();

  constructor(metrics: MetricsRegistry) {
    const registers = [metrics];
    this.events = new Counter({
      name: 'otaflux_events_total',
      help: 'Messages from brokers of EVENTS by result: queued, reported, handled, ignored, unknown, invalid, too_large, dropped or failed.',
      labelNames: ['broker', 'result'],
      registers,
    });
    const gauge = (name: string, help: string, read: (sample: EventBrokerSample) => number): void => {
      const { brokers } = this;
      new Gauge({
        name,
        help,
        labelNames: ['broker'],
        registers,
        collect() {
          for (const [broker, sample] of brokers) this.labels(broker).set(read(sample()));
        },
      });
    };
    gauge('otaflux_events_connected', '1 if the broker is connected, otherwise 0.', ({ connected }) =>
      Number(connected),
    );
    gauge('otaflux_events_waiting', 'Messages of the broker that wait for their handlers.', ({ waiting }) => waiting);
  }

  observe(broker: string, read: () => EventBrokerSample): void {
    this.brokers.set(broker, read);
  }

  received(broker: string, result: string): void {
    this.events.labels(broker, result).inc();
  }
}
