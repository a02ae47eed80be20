import { Injectable } from '@nestjs/common';
import type { Metric, MetricObjectWithValues, MetricValue } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** Upper bounds in seconds. A /version from memory is under the first; a large /firmware to a slow device over the last. */
const BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300];
/** Other methods are counted as OTHER, so that a client cannot invent label values. */
const METHODS = ['GET', 'HEAD', 'POST', 'OTHER'] as const;
const STATUSES = 600;
/** Limits the series of a protocol that puts text of its client into its route. */
const MAX_ROUTES = 200;
const OTHER = 'other';

interface Series {
  count: number;
  sumSeconds: number;
  readonly buckets: Float64Array;
}

/** The requests of one route. `record` is on the hot path: for a status that it has counted before, it creates no string and no object. */
export class RouteMeter {
  private readonly series: (Series | undefined)[] = [];

  constructor(readonly path: string) {}

  record(method: string, status: number, durationMs: number): void {
    const slot = methodIndex(method) * STATUSES + status;
    const series = (this.series[slot] ??= { count: 0, sumSeconds: 0, buckets: new Float64Array(BUCKETS.length) });
    const seconds = durationMs / 1000;
    series.count++;
    series.sumSeconds += seconds;
    for (let i = BUCKETS.length - 1; i >= 0 && seconds <= (BUCKETS[i] ?? 0); i--)
      series.buckets[i] = (series.buckets[i] ?? 0) + 1;
  }

  forEach(visit: (labels: Record<string, string>, series: Series) => void): void {
    this.series.forEach((series, slot) => {
      if (!series) return;
      const method = METHODS[Math.floor(slot / STATUSES)] ?? 'OTHER';
      visit({ method, path: this.path, status: String(slot % STATUSES) }, series);
    });
  }
}

/** `http_requests_total` and `http_request_duration_seconds`: counted at each request, formatted at each scrape. */
@Injectable()
export class HttpMeter {
  private readonly routes = new Map<string, RouteMeter>();

  constructor(metrics: MetricsRegistry) {
    register(
      metrics,
      'http_requests_total',
      'Requests on the device port by method, route and status.',
      'counter',
      () => this.counts(),
    );
    register(
      metrics,
      'http_request_duration_seconds',
      'Time from a request on the device port to the end of its response.',
      'histogram',
      () => this.durations(),
    );
  }

  /** Returns the meter of a route. Routes beyond MAX_ROUTES share the meter `other`. */
  route(path: string): RouteMeter {
    const known = this.routes.get(path);
    if (known) return known;
    if (this.routes.size >= MAX_ROUTES && path !== OTHER) return this.route(OTHER);
    const route = new RouteMeter(path);
    this.routes.set(path, route);
    return route;
  }

  private counts(): MetricValue<string>[] {
    const values: MetricValue<string>[] = [];
    for (const route of this.routes.values())
      route.forEach((labels, { count }) => values.push({ labels, value: count }));
    return values;
  }

  private durations(): MetricValue<string>[] {
    const values: (MetricValue<string> & { metricName: string })[] = [];
    const name = 'http_request_duration_seconds';
    for (const route of this.routes.values()) {
      route.forEach((labels, { count, sumSeconds, buckets }) => {
        BUCKETS.forEach((le, i) =>
          values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: buckets[i] ?? 0 }),
        );
        values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count });
        values.push(
          { metricName: `${name}_sum`, labels, value: sumSeconds },
          { metricName: `${name}_count`, labels, value: count },
        );
      });
    }
    return values;
  }
}

function methodIndex(method: string): number {
  return method === 'GET' ? 0 : method === 'HEAD' ? 1 : method === 'POST' ? 2 : 3;
}

/** Registers a metric whose values are computed at each scrape. The metrics of prom-client keep a map keyed by label strings instead. */
function register(
  metrics: MetricsRegistry,
  name: string,
  help: string,
  type: string,
  values: () => MetricValue<string>[],
): void {
  const metric = {
    name,
    help,
    get: () =>
      Promise.resolve({ name, help, type, aggregator: 'sum', values: values() } as unknown as MetricObjectWithValues<
        MetricValue<string>
      >),
    reset: () => undefined,
  };
  metrics.registerMetric(metric as unknown as Metric);
}
