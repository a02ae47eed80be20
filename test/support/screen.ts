import { spawn } from 'node:child_process';

/** What a terminal of `columns` shows of the output of a program: carriage returns, new lines and erasing, as ours use them. */
export class Screen {
  readonly lines: string[] = [''];
  /** Every state of a line that was drawn over. */
  readonly drawn: string[] = [];
  /** Lines that ran into the next one because they were wider than the terminal. */
  readonly wrapped: string[] = [];
  private column = 0;

  constructor(private readonly columns: number) {}

  write(text: string): void {
    // eslint-disable-next-line no-control-regex
    for (const [piece] of text.matchAll(/\u001B\[K|[^\u001B]|\u001B.*/gsu)) {
      if (piece === '\r') {
        this.drawn.push(this.current.trimEnd());
        this.column = 0;
      } else if (piece === '\n') {
        this.lines.push('');
        this.column = 0;
      } else if (piece === '\u001B[K') this.current = this.current.slice(0, this.column);
      else if (piece.startsWith('\u001B'))
        throw new Error(`an unknown sequence: ${JSON.stringify(piece.slice(0, 20))}`);
      else this.put(piece);
    }
  }

  /** What is left on it, without empty lines at the end. */
  get text(): string {
    return this.lines
      .map((line) => line.trimEnd())
      .join('\n')
      .trimEnd();
  }

  private put(character: string): void {
    if (this.column === this.columns) {
      this.wrapped.push(this.current);
      this.lines.push('');
      this.column = 0;
    }
    this.current =
      this.current.slice(0, this.column).padEnd(this.column) + character + this.current.slice(this.column + 1);
    this.column++;
  }

  private get current(): string {
    return this.lines.at(-1) ?? '';
  }

  private set current(line: string) {
    this.lines[this.lines.length - 1] = line;
  }
}

/** Runs a shell command on a terminal of `columns`, by `script` of util-linux, and resolves to what it shows at the end. */
export async function onTerminal(
  columns: number,
  command: string,
  env: Record<string, string> = {},
  cwd?: string,
): Promise<{ screen: Screen; code: number | null }> {
  const screen = new Screen(columns);
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn('script', ['-qefc', `stty cols ${columns} rows 24; ${command}`, '/dev/null'], {
    env: { PATH, HOME, TERM: 'xterm', ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    screen.write(piece);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { screen, code };
}
