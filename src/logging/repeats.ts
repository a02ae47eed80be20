import { after } from '../timers.js';

/** Lines of one event at one level that are written in a window; what comes beyond is counted. */
const MAX_LINES = 50;
const WINDOW_MS = 60_000;

interface Window {
  endsAtMs: number;
  lines: number;
  suppressed: number;
}

/**
 * Holds back what repeats: a registry that is down for a day must not be a million lines, however many devices ask.
 * Events are named by the code, so there are few.
 */
export class Repeats {
  private readonly windows = new Map<string, Window>();

  /** @param report told how many lines of an event were held back, once their window is over */
  constructor(private readonly report: (event: string, suppressed: number) => void) {}

  /** Whether a line of `event` is to be written now. */
  admits(event: string, nowMs = performance.now()): boolean {
    let window = this.windows.get(event);
    if (!window || nowMs >= window.endsAtMs) {
      if (window && window.suppressed > 0) this.report(event, window.suppressed);
      this.windows.set(event, (window = { endsAtMs: nowMs + WINDOW_MS, lines: 0, suppressed: 0 }));
    }
    if (++window.lines <= MAX_LINES) return true;
    const end = (): void => {
      this.end(event);
    };
    if (window.suppressed++ === 0) after(WINDOW_MS, end, { background: true });
    return false;
  }

  private end(event: string): void {
    const window = this.windows.get(event);
    if (!window || window.suppressed === 0) return;
    this.windows.delete(event);
    this.report(event, window.suppressed);
  }
}
