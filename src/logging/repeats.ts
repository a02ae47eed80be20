import { after } from '../timers.js';

/** Maximum number of lines of one event in a window. Further lines are counted. */
const MAX_LINES = 50;
const WINDOW_MS = 60_000;
/** Maximum number of counted events. OtaFlux has a hundred, but a plug-in may have any number. */
const MAX_EVENTS = 1_000;

interface Window {
  endsAtMs: number;
  lines: number;
  suppressed: number;
}

/**
 * Suppresses repeated lines: a registry that is down for a day must not fill the log, however many devices ask. Lines
 * are counted by event, not by device or address, so the memory does not depend on clients.
 */
export class Repeats {
  private readonly windows = new Map<string, Window>();

  /** @param report called with the number of suppressed lines of an event at the end of its window */
  constructor(private readonly report: (event: string, suppressed: number) => void) {}

  /** Number of events that are counted now. */
  get size(): number {
    return this.windows.size;
  }

  /** Returns whether to write a line of `event` now. */
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
