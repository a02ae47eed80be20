import picomatch from 'picomatch';
import type { PollInterval } from '../config/index.js';

/** The longest time that `HH:MM:SS` can say to every client. */
const MAX_SECONDS = 86_399;

/** How often units ask for updates: POLL_INTERVAL. */
export class PollIntervals {
  private readonly rules: readonly { readonly matches: (product: string) => boolean; readonly rule: PollInterval }[];

  constructor(rules: readonly PollInterval[]) {
    this.rules = rules.map((rule) => ({ matches: picomatch(rule.match, { dot: true, bash: true }), rule }));
  }

  /** Returns the time after which a unit of `product` should ask again, in whole seconds. It varies by the jitter. */
  secondsOf(product: string): number {
    const { seconds = 300, jitter = 0.1 } = this.rules.find(({ matches }) => matches(product))?.rule ?? {};
    const factor = 1 + jitter * (2 * Math.random() - 1);
    return Math.min(Math.max(1, Math.round(seconds * factor)), MAX_SECONDS);
  }
}
