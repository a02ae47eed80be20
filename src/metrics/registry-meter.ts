import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** The operations on a registry: one for each method of the port. */
export type RegistryOperation = 'tags' | 'resolve' | 'manifest' | 'blob' | 'referrers' | 'repositories' | 'ping';

/** Counts and times the operations on the registry. */
@Injectable()
export class RegistryMeter {
  private readonly requests: Counter<'operation' | 'result'>;
  private readonly durations: Histogram<'operation'>;
  private status: () => 'unknown' | 'up' | 'down' = () => 'unknown';
  private failureCode: () => string | undefined = () => undefined;

  constructor(metrics: MetricsRegistry) {
    this.requests = new Counter({
      name: 'otaflux_registry_requests_total',
      help: 'Registry operations by result: ok, or the error code absent, denied, unavailable or protocol.',
      labelNames: ['operation', 'result'],
      registers: [metrics],
    });
    this.durations = new Histogram({
      name: 'otaflux_registry_request_duration_seconds',
      help: 'Duration of registry operations, including retries and the transfer of a blob.',
      labelNames: ['operation'],
      buckets: [0.005, 0.02, 0.1, 0.5, 1, 5, 15, 30],
      registers: [metrics],
    });
    const status = (): 'unknown' | 'up' | 'down' => this.status();
    new Gauge({
      name: 'otaflux_registry_up',
      help: '1 if the registry can be used, otherwise 0. No series before the first answer or error.',
      registers: [metrics],
      collect() {
        this.remove();
        if (status() !== 'unknown') this.set(status() === 'up' ? 1 : 0);
      },
    });
    const failureCode = (): string | undefined => this.failureCode();
    new Gauge({
      name: 'otaflux_registry_error',
      help: '1 for the code of the error that makes the registry unusable. No series while the registry can be used.',
      labelNames: ['code'],
      registers: [metrics],
      collect() {
        this.reset();
        const code = failureCode();
        if (code !== undefined) this.labels(code).set(1);
      },
    });
  }

  /** Sets the functions that return the state of the registry and the code of its failure. */
  observe(status: () => 'unknown' | 'up' | 'down', failureCode: () => string | undefined): void {
    this.status = status;
    this.failureCode = failureCode;
  }

  /** Counts one operation. `result` is `ok` or an OtaErrorCode. */
  registryRequest(operation: RegistryOperation, result: string, durationMs: number): void {
    this.requests.labels(operation, result).inc();
    this.durations.labels(operation).observe(durationMs / 1000);
  }
}
