import { styleText } from 'node:util';

const INDENT = '  ';
const NAME_COLUMNS = 9;
const BAR_COLUMNS = 20;
const COLOURS = {
  ...{ you: 'green', registry: 'yellow', otaflux: 'cyan', broker: 'magenta', demo: 'red' },
  ...{ esp32: 'blue', arduino: 'blue', hawkbit: 'blue' },
};
/** Goes to the beginning of the line and clears it. */
const CLEAR = '\r\u001b[K';

/** Prints what each part of the demo does, one line for each action. On a terminal, the last line shows progress. */
export class Screen {
  progressLine = '';

  constructor(stream = process.stdout) {
    this.stream = stream;
    this.isColourful = Boolean(stream.isTTY) && stream.hasColors();
  }

  /** Prints one action: `esp32     runs 1.0.0`. */
  say(who, what) {
    this.print(`${INDENT}${this.nameOf(who)} ${what}`);
  }

  /** Prints `text` as it is, above the progress. */
  print(text) {
    this.stream.write(`${this.progressLine && CLEAR}${text}\n${this.progressLine}`);
  }

  /** Shows how much of an action is done, until `endProgress`. Shows nothing without a terminal. */
  progress(who, what, bytes, totalBytes) {
    if (!this.stream.isTTY) return;
    const share = totalBytes > 0 ? bytes / totalBytes : 1;
    const bar = '█'.repeat(Math.round(share * BAR_COLUMNS)).padEnd(BAR_COLUMNS, '░');
    const text = `${what}  ${`${Math.floor(share * 100)} %`.padStart(5)}  ${bar}  ${megabytes(bytes)} of ${megabytes(totalBytes)}`;
    const columns = (this.stream.columns || 80) - INDENT.length - NAME_COLUMNS - 2;
    this.progressLine = `${INDENT}${this.nameOf(who)} ${text.slice(0, columns)}`;
    this.stream.write(CLEAR + this.progressLine);
  }

  /** Clears the progress. */
  endProgress() {
    if (this.progressLine) this.stream.write(CLEAR);
    this.progressLine = '';
  }

  nameOf(who) {
    const name = who.padEnd(NAME_COLUMNS);
    return this.isColourful ? styleText(COLOURS[who] ?? 'bold', name, { validateStream: false }) : name;
  }
}

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
