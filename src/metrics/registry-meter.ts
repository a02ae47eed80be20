import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** The questions that a registry is asked, by the method of the port. */
export type RegistryOperation = 'tags' | 'resolve' | 'manifest' | 'blob' | 'referrers' | 'repositories' | 'ping';

/** Counts and times what is asked of the registry. */
@Injectable()
export class RegistryMeter {
  private readonly requests: Counter<'operation' | 'result'>;
  private readonly durations: Histogram<'operation'>;
  private status: () => 'unknown' | 'up' | 'down' = () => 'unknown';
  private failureCode: () => string | undefined = () => undefined;

  constructor(metrics: MetricsRegistry) {
    this.requests = new Counter({
      name: 'otaflux_registry_requests_total',
      help: 'Questions to the registry by operation and result: ok, or the code of the error.',
      labelNames: ['operation', 'result'],
      registers: [metrics],
    });
    this.durations = new Histogram({
      name: 'otaflux_registry_request_duration_seconds',
      help: 'How long the registry took to answer, retries included; for a blob until its stream began.',
      labelNames: ['operation'],
      buckets: [0.005, 0.02, 0.1, 0.5, 1, 5, 15, 30],
      registers: [metrics],
    });
    const status = (): 'unknown' | 'up' | 'down' => this.status();
    new Gauge({
      name: 'otaflux_registry_up',
      help: '1 while the registry can be used, 0 while it cannot. No series before the first answer.',
      registers: [metrics],
      collect() {
        this.remove();
        if (status() !== 'unknown') this.set(status() === 'up' ? 1 : 0);
      },
    });
    const failureCode = (): string | undefined => this.failureCode();
    new Gauge({
      name: 'otaflux_registry_error',
      help: '1 while the registry cannot be used, by the code of the error. No series while it can.',
      labelNames: ['code'],
      registers: [metrics],
      collect() {
        this.reset();
        const code = failureCode();
        if (code !== undefined) this.labels(code).set(1);
      },
    });
  }

  /** Names where the state of the registry, and the code of its failure, are read. */
  observe(status: () => 'unknown' | 'up' | 'down', failureCode: () => string | undefined): void {
    this.status = status;
    this.failureCode = failureCode;
  }

  /** Counts one question. `result` is `ok` or an OtaErrorCode. */
  registryRequest(operation: RegistryOperation, result: string, durationMs: number): void {
    this.requests.labels(operation, result).inc();
    this.durations.labels(operation).observe(durationMs / 1000);
  }
}
