/** What is known of one device when metrics are scraped. */
export interface DeviceSample {
  readonly device: string;
  /** Seconds since the registry last confirmed its release. */
  readonly ageSeconds: number;
  readonly hits: number;
  readonly misses: number;
}
