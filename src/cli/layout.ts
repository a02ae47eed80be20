/** A line that is longer is hard to read. */
const MAX_WIDTH = 120;
const DEFAULT_WIDTH = 80;

/** Columns for help texts: of the terminal, else COLUMNS, else 80. */
export function helpWidth(): number {
  const columns = process.stdout.columns || Number(process.env.COLUMNS);
  return Math.min(columns > 0 ? columns : DEFAULT_WIDTH, MAX_WIDTH);
}

/** The words of `text` in lines of at most `width` columns, each after `indent` spaces. A longer word has a line of its own. */
export function indented(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (line && indent + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line].map((content) => ' '.repeat(indent) + content);
}

/** A call of a command in lines of at most `width` columns, which a shell reads as one: it breaks before an option. */
export function shellLines(call: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  for (const part of call.split(/ (?=--)/)) {
    const joined = lines.length > 0 ? `${lines.at(-1) ?? ''} ${part}` : part;
    if (lines.length === 0) lines.push(part);
    // The backslash needs two columns.
    else if (indent + joined.length + 2 <= width) lines[lines.length - 1] = joined;
    else lines.push(`  ${part}`);
  }
  return lines.map((line, index) => ' '.repeat(indent) + line + (index < lines.length - 1 ? ' \\' : ''));
}
