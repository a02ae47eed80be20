/** The figures of one device at a scrape. */
export interface DeviceSample {
  readonly device: string;
  /** Seconds since the registry last confirmed its release. */
  readonly ageSeconds: number;
  readonly hits: number;
  readonly misses: number;
  /** Serial of its plan. Undefined if it has none. */
  readonly planSerial: number | undefined;
}

/** All metrics of one scrape are read within this time, and have to be about the same devices. */
const SAME_SCRAPE_MS = 50;

/**
 * Selects the devices with the most requests, so that the size of a scrape does not grow with the number of devices.
 * Of two devices with the same number of requests, the one that was selected before stays: a series that comes and goes
 * costs Prometheus as much as a new one.
 */
export class BusiestDevices {
  private chosen = new Set<string>();
  private samples: readonly DeviceSample[] = [];
  private readAtMs = -Infinity;

  /** @param limit maximum number of devices */
  constructor(private readonly limit: number) {}

  /** Returns the selected devices of `read`, or the same ones again within one scrape. */
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
