import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** The units of a product, read at each scrape. */
export interface FleetSample {
  readonly product: string;
  readonly counts: { readonly units: number; readonly byVersion: ReadonlyMap<string, number> };
}

/** Further products and versions have no series of their own. Units may send any text as their version. */
const MAX_PRODUCTS = 1_000;
const MAX_VERSIONS = 20;
/** A semantic version. Every other text is counted as `other`. */
const VERSION = /^v?\d+\.\d+\.\d+[-+0-9A-Za-z.]*$/;
const OTHER = 'other';

/** The metrics of units. */
@Injectable()
export class FleetMeter {
  readonly maxProducts = MAX_PRODUCTS;
  private readonly outcomes: Counter<'protocol' | 'outcome'>;
  private readonly withheld: Counter<'protocol' | 'reason'>;
  private read: () => Promise<readonly FleetSample[]> = () => Promise.resolve([]);

  constructor(metrics: MetricsRegistry) {
    const registers = [metrics];
    this.outcomes = new Counter({
      name: 'otaflux_unit_outcomes_total',
      help: 'Updates that units have ended, by protocol and outcome: installed, failed or rejected.',
      labelNames: ['protocol', 'outcome'],
      registers,
    });
    this.withheld = new Counter({
      name: 'otaflux_offers_withheld_total',
      help: 'Requests of units that were offered nothing, by protocol and reason: hardware, requires or failed.',
      labelNames: ['protocol', 'reason'],
      registers,
    });
    const samples = (): Promise<readonly FleetSample[]> => this.read();
    new Gauge({
      name: 'otaflux_units',
      help: 'Units by product and by the version that they run: the most frequent versions, and other.',
      labelNames: ['product', 'version'],
      registers,
      async collect() {
        this.reset();
        for (const { product, counts } of await samples())
          for (const [version, units] of frequent(counts)) this.set({ product, version }, units);
      },
    });
  }

  observe(read: () => Promise<readonly FleetSample[]>): void {
    this.read = read;
  }

  withheldFor(protocol: string, reason: string): void {
    this.withheld.labels(protocol, reason).inc();
  }

  ended(protocol: string, outcome: string): void {
    this.outcomes.labels(protocol, outcome).inc();
  }
}

/** Returns the most frequent versions, and the number of all other units. */
function frequent({ units, byVersion }: FleetSample['counts']): Map<string, number> {
  const known = [...byVersion]
    .filter(([version]) => version.length <= 64 && VERSION.test(version))
    .sort(([, a], [, b]) => b - a)
    .slice(0, MAX_VERSIONS);
  const rest = units - known.reduce((sum, [, count]) => sum + count, 0);
  return new Map(rest > 0 ? [...known, [OTHER, rest]] : known);
}
