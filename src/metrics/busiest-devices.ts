/** What is known of one device when metrics are scraped. */
export interface DeviceSample {
  readonly device: string;
  /** Seconds since the registry last confirmed its release. */
  readonly ageSeconds: number;
  readonly hits: number;
  readonly misses: number;
}

/** The metrics of one scrape are read within moments, and all of them are about the same devices. */
const SAME_SCRAPE_MS = 50;

/**
 * The devices that are asked for most, so that a scrape costs the same whether there are a thousand of them or a hundred
 * thousand. Of two that are asked for as much, the one stays that was chosen before: a series that comes and goes costs
 * Prometheus as much as a new one.
 */
export class BusiestDevices {
  private chosen = new Set<string>();
  private samples: readonly DeviceSample[] = [];
  private readAtMs = -Infinity;

  /** @param limit how many are chosen at the most */
  constructor(private readonly limit: number) {}

  /** Those of `read`; what was chosen for this scrape already is not read again. */
  of(read: () => Iterable<DeviceSample>): readonly DeviceSample[] {
    if (performance.now() - this.readAtMs < SAME_SCRAPE_MS) return this.samples;
    this.samples = this.choose([...read()]);
    this.readAtMs = performance.now();
    return this.samples;
  }

  private choose(all: DeviceSample[]): readonly DeviceSample[] {
    if (all.length <= this.limit) return all;
    if (this.limit === 0) return [];
    // Typed arrays are sorted by number, in milliseconds.
    const counts = Float64Array.from(all, requestsOf).sort();
    const least = counts[counts.length - this.limit] ?? 0;
    const above = all.filter((sample) => requestsOf(sample) > least);
    const equal = all.filter((sample) => requestsOf(sample) === least);
    const before = equal.filter(({ device }) => this.chosen.has(device));
    const others = equal.filter(({ device }) => !this.chosen.has(device));
    const chosen = [...above, ...[...before, ...others].slice(0, this.limit - above.length)];
    this.chosen = new Set(chosen.map(({ device }) => device));
    return chosen;
  }
}

const requestsOf = ({ hits, misses }: DeviceSample): number => hits + misses;
