import { after } from '../timers.js';

/** Lines of one event at one level that are written in a window; what comes beyond is counted. */
const MAX_LINES = 50;
const WINDOW_MS = 60_000;
/** Events that are remembered: OtaFlux has a hundred, a plug-in may make them up. */
const MAX_EVENTS = 1_000;

interface Window {
  endsAtMs: number;
  lines: number;
  suppressed: number;
}

/**
 * Holds back lines that repeat: a registry that is down for a day must not fill the log, however many devices ask.
 * Lines are counted by event, never by device or address, so its size does not depend on who asks.
 */
export class Repeats {
  private readonly windows = new Map<string, Window>();

  /** @param report told how many lines of an event were held back, once their window is over */
  constructor(private readonly report: (event: string, suppressed: number) => void) {}

  /** Events that are remembered now. */
  get size(): number {
    return this.windows.size;
  }

  /** Whether a line of `event` is to be written now. */
  admits(event: string, nowMs = performance.now()): boolean {
    let window = this.windows.get(event);
    if (!window || nowMs >= window.endsAtMs) {
      if (window && window.suppressed > 0) this.report(event, window.suppressed);
      this.windows.delete(event);
      if (this.windows.size >= MAX_EVENTS) this.forget(this.windows.keys().next().value ?? '');
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
    if (this.windows.get(event)?.suppressed) this.forget(event);
  }

  private forget(event: string): void {
    const suppressed = this.windows.get(event)?.suppressed ?? 0;
    this.windows.delete(event);
    if (suppressed > 0) this.report(event, suppressed);
  }
}
