/** One moment of a chart, in percent. */
export interface Column {
  /** Filled with `#`. */
  readonly done: number;
  /** Filled with `.` above that. */
  readonly allowed: number;
}

const WIDTH = 72;
const HEIGHT = 10;
const DAY_MS = 86_400_000;

/** Draws a course from 0 to 100 % over time: lines of plain text, at most 80 characters wide. */
export function chartOf(
  columns: readonly Column[],
  { fromMs, durationMs }: { readonly fromMs: number; readonly durationMs: number },
): string[] {
  const shown = Array.from({ length: WIDTH }, (_, x) => columns[Math.round((x / (WIDTH - 1)) * (columns.length - 1))]);
  const lines = Array.from({ length: HEIGHT }, (_, y) => {
    // A cell is filled from its middle on; the lowest from the first unit on.
    const level = y === HEIGHT - 1 ? Number.MIN_VALUE : 100 - (y + 0.5) * (100 / HEIGHT);
    const cells = shown.map((column) => {
      if (!column) return ' ';
      if (column.done >= level) return '#';
      return column.allowed >= level ? '.' : ' ';
    });
    const label = y % 5 === 0 ? `${100 - y * (100 / HEIGHT)}%` : '';
    return `${label.padStart(4)} |${cells.join('')}`.trimEnd();
  });
  return [...lines, `  0% +${'-'.repeat(WIDTH)}`, `      ${daysBelow(fromMs, durationMs)}`];
}

/** Dates below the axis, as many as there is space for. */
function daysBelow(fromMs: number, durationMs: number): string {
  const days = durationMs / DAY_MS;
  const step = Math.max(1, Math.ceil(days / 8));
  let line = '';
  for (let day = 0; day <= days; day += step) {
    const label = new Date(fromMs + day * DAY_MS).toISOString().slice(5, 10);
    const x = Math.round((day / days) * (WIDTH - 1));
    if (x + label.length <= WIDTH && x >= line.length) line = line.padEnd(x) + label;
  }
  return line;
}
