import type { OnRetry } from '../registry/index.js';
import { partText, sizeText } from '../quantities.js';

/** How often a line is drawn again: no eye sees more. */
const DRAW_MS = 100;
/** Until then a rate says nothing. */
const MIN_RATE_MS = 500;
/** From the cursor to the end of the line. */
const ERASE = '\u001B[K';

/** Where lines for people go; `columns` is that of a terminal now. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** One line at the bottom of a terminal that is drawn over and over, and leaves nothing behind. */
export class StatusLine {
  private shown = false;

  private constructor(private readonly screen: Screen) {}

  /** Undefined in a pipe, a file or a CI job, where progress is not shown. */
  static on(screen: Screen): StatusLine | undefined {
    return screen.isTTY ? new StatusLine(screen) : undefined;
  }

  /** The width that a line may have. The last column stays free: a character in it makes some terminals begin a new line. */
  get width(): number {
    return Math.max((this.screen.columns ?? 80) - 1, 1);
  }

  show(text: string): void {
    this.screen.write(`\r${fitted(text, this.width)}${ERASE}`);
    this.shown = true;
  }

  clear(): void {
    if (this.shown) this.screen.write(`\r${ERASE}`);
    this.shown = false;
  }
}

/** Returns what shows the retries of requests on `line`. */
export function showRetries(line: StatusLine | undefined): OnRetry {
  return ({ host, reason, retry, of }) => line?.show(`${host}: ${reason}, retrying … (${retry} of ${of})`);
}

/** How far an upload has come: `37 %  0.4/1.0 MB  2.1 MB/s  firmware.bin`. */
export class Progress {
  private readonly startedMs: number;
  private drawnMs = -Infinity;

  constructor(
    private readonly line: StatusLine,
    private readonly name: string,
    private readonly totalBytes: number,
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    this.startedMs = nowMs();
    this.update(0);
  }

  update(bytes: number): void {
    const now = this.nowMs();
    if (now - this.drawnMs < DRAW_MS) return;
    this.drawnMs = now;
    const { name, totalBytes, line } = this;
    line.show(progressText({ name, totalBytes, bytes, elapsedMs: now - this.startedMs }, line.width));
  }
}

interface State {
  readonly name: string;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly elapsedMs: number;
}

/** The parts that fit into `width` columns, the most telling first; the name may be cut. */
export function progressText({ name, bytes, totalBytes, elapsedMs }: State, width: number): string {
  const parts = [`${Math.floor((bytes / totalBytes) * 100)} %`.padStart(5), partText(bytes, totalBytes)];
  if (elapsedMs >= MIN_RATE_MS) parts.push(`${sizeText((bytes / elapsedMs) * 1000)}/s`);
  let text = '';
  for (const part of parts) {
    const longer = text === '' ? part : `${text}  ${part}`;
    if (longer.length <= width) text = longer;
  }
  const left = width - text.length - 2;
  return left >= 4 ? `${text}  ${fitted(name, left)}` : text;
}

/** `text` in at most `width` columns, its end cut off where it is longer. Control characters would move the cursor. */
export function fitted(text: string, width: number): string {
  const shown = text.replaceAll(/\p{Cc}/gu, '?');
  const cells = Array.from(shown, (character) => ({ character, width: widthOf(character) }));
  const total = cells.reduce((sum, cell) => sum + cell.width, 0);
  if (total <= width) return shown;
  let left = width - 1;
  let kept = '';
  for (const cell of cells) {
    if (cell.width > left) break;
    left -= cell.width;
    kept += cell.character;
  }
  return `${kept}…`;
}

/** Ideographs and emoji take two columns (Unicode Standard Annex #11), marks none. */
function widthOf(character: string): number {
  if (/\p{M}|\u200D/u.test(character)) return 0;
  return /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}|[\uFF01-\uFF60]/u.test(
    character,
  )
    ? 2
    : 1;
}
